# SPDX-License-Identifier: Apache-2.0
"""Where a command computes."""

from __future__ import annotations


def choose_device(name: str) -> str:
    """The torch device for --device auto, cpu or cuda.

    Raises:
        ValueError: another name, or cuda where it cannot be used.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device {name}: choose auto, cpu or cuda.")
    if name == "cpu":
        return "cpu"
    from .doctor import why_no_cuda

    missing = why_no_cuda()
    if missing and name == "cuda":
        raise ValueError(f"--device cuda: {missing}. Use --device cpu, or see `milo doctor`.")
    return "cpu" if missing else "cuda"
