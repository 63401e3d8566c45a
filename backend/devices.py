# SPDX-License-Identifier: Apache-2.0
"""Where a command computes."""

from __future__ import annotations


def choose_device(name: str) -> str:
    """The torch device for --device auto, cpu, cuda or cuda:1.

    Raises:
        ValueError: another name, or cuda where it cannot be used.
    """
    kind = name.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device {name}: choose auto, cpu or cuda.")
    if kind == "cpu":
        return name
    from .gpu import why_no_cuda

    missing = why_no_cuda()
    if missing and kind == "cuda":
        raise ValueError(f"--device {name}: {missing}. Use --device cpu, or see `milo doctor`.")
    return "cpu" if missing else "cuda" if kind == "auto" else name
