# SPDX-License-Identifier: Apache-2.0
"""The compiled CPU kernels, in the variant this processor can run."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path


def has_avx2() -> bool:
    """True if the processor runs x86-64-v3 code (AVX2, FMA, BMI2)."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = cpuinfo.read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
        return {"avx2", "fma", "bmi2", "movbe"} <= set(flags)
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def _load():
    package = __name__.rpartition(".")[0]
    names = ["_native_v3", "_native"] if has_avx2() else ["_native"]
    for name in names:
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if name not in str(error):
                raise
    raise ImportError("milo.cuda_ext has no compiled kernels: install the package with `pip install .` (or `make`).")


native = _load()
