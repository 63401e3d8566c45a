# SPDX-License-Identifier: Apache-2.0
"""What this machine can do, as one JSON object on stdout: `python -m milo.backend.service.probe`.

A process of its own, because finding out means importing torch: seconds and hundreds of megabytes that the
server spares.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys

from milo.backend.machine import cores, device_memory, memory_limit


def probe() -> dict:
    """{"device": a line for the panel, "capabilities": [words], "memory": {"cpu", "cuda": bytes} as far as known}."""
    parts = [f"CPU, {cores()} cores"]
    if (memory := _memory_gb()) is not None:
        parts.append(f"{memory:.0f} GB")
    capabilities, there = [], {"cpu": memory_limit()}
    try:
        import torch
        parts.append(f"torch {torch.__version__}")
        capabilities += ["reconstruct", "render.splats"]
        from milo.backend.gpu import driver_version, why_no_cuda
        missing = why_no_cuda()
        if not missing:
            parts.append(f"GPU {torch.cuda.get_device_name(0)}")
            capabilities.append("cuda")
            there["cuda"] = device_memory("cuda")[1]
        elif driver_version() is not None:
            parts.append(f"GPU not used: {missing}")
    except Exception as error:     # a broken installation is news for the panel, not a crash
        parts.append(f"torch does not load ({type(error).__name__}: {str(error)[:100]})")
    if importlib.util.find_spec("pycolmap"):
        capabilities.append("align")
    return {"device": ", ".join(parts)[:200], "capabilities": capabilities, "memory": there}


def _memory_gb() -> float | None:
    if platform.system() == "Windows":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


if __name__ == "__main__":
    json.dump(probe(), sys.stdout)
