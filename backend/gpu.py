# SPDX-License-Identifier: Apache-2.0
"""Whether reconstructions can run on the GPU of this machine, and why not, in words."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys

from milo.backend.machine import GIB

NVRTC = ("cuda-bindings", "nvidia-cuda-nvrtc")   # what compiles the CUDA kernels
SMALLEST = 2 * GIB                               # of a GPU's memory, for a preview


def why_no_cuda() -> str:
    """Why reconstructions cannot run on a GPU here, and what to do about it; empty if they can."""
    import torch

    from milo.cuda_ext.cuda.runtime import OLDEST_ARCH, OLDEST_DRIVER

    if torch.version.cuda is None:
        return "this torch is a CPU build (the default index of pip has those with CUDA)"
    driver = driver_version()
    if driver is None:
        return "no NVIDIA driver was found"
    if driver < OLDEST_DRIVER:
        return (f"the NVIDIA driver is made for CUDA {_spoken(driver)}, but {_spoken(OLDEST_DRIVER)} is needed "
                "(update it to 580 or newer)")
    if not torch.cuda.is_available():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return "no NVIDIA GPU was found" + ("" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})")
    properties = torch.cuda.get_device_properties(0)
    if 10 * properties.major + properties.minor < OLDEST_ARCH:
        return (f"{properties.name} has compute capability {properties.major}.{properties.minor}, but "
                f"{OLDEST_ARCH / 10} is needed (Turing, 2018, or newer)")
    if properties.total_memory < 0.9 * SMALLEST:
        return (f"{properties.name} has {properties.total_memory / GIB:.1f} GiB of memory, but even a preview needs "
                f"{SMALLEST // GIB} GiB")
    missing = [name for name in NVRTC if version(name) is None]
    if missing:
        return (f"the CUDA compiler NVRTC is not installed ({' and '.join(missing)}: "
                "pip install 'milo-blender[cuda]')")
    return ""


def driver_version() -> int | None:
    """The CUDA version that the NVIDIA driver is made for, times 1000 (13000 = 13.0); None without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        found = ctypes.c_int()
        return found.value if driver.cuDriverGetVersion(ctypes.byref(found)) == 0 else None
    except (OSError, AttributeError):
        return None


def version(distribution: str) -> str | None:
    """Of an installed distribution; None if it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _spoken(cuda: int) -> str:
    return f"{cuda // 1000}.{cuda % 1000 // 10}"
