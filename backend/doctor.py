# SPDX-License-Identifier: Apache-2.0
"""`milo doctor`: what this machine can do and what is missing, in words."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from milo.backend.gpu import NVRTC, version, why_no_cuda
from milo.backend.machine import GIB, memory_limit


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what.
        state: "good", "missing" (something optional is not there) or "bad" (reconstruction cannot work).
        words: what was found, and what to do where it is not good.
    """

    subject: str
    state: Literal["good", "missing", "bad"]
    words: str


def examine() -> list[Finding]:
    """Look at everything a reconstruction, the service and Blender need. Never raises."""
    return [_careful(subject, look) for subject, look in EXAMINATIONS.items()]


def print_findings(findings: list[Finding]) -> bool:
    """Print the findings and a verdict; True if a reconstruction can run here."""
    console = Console(highlight=False)
    table = Table(show_header=False, box=None)
    marks = {"good": "[green]ok[/]", "missing": "[yellow]--[/]", "bad": "[red]no[/]"}
    for finding in findings:
        table.add_row(marks[finding.state], finding.subject, finding.words)
    console.print(table)
    bad = [finding.subject for finding in findings if finding.state == "bad"]
    console.print(f"This machine cannot reconstruct yet: see {', '.join(bad)}." if bad
                  else f"This machine can reconstruct, on the {'CPU' if why_no_cuda() else 'GPU'}.")
    return not bad


def _careful(subject: str, look: Callable[[], tuple[str, str]]) -> Finding:
    try:
        return Finding(subject, *look())
    except Exception as error:   # a broken package may raise anything; the doctor must still report the rest
        return Finding(subject, "bad", f"{type(error).__name__}: {error}")


def _python():
    return "good", f"{platform.python_version()}, {platform.system()} {platform.machine()}"


def _processor():
    from milo.cuda_ext.native import has_avx2

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    fast = has_avx2()
    level = "AVX2: the fast kernels" if fast else "no AVX2: the plain kernels, about half as fast"
    return "good", f"{cores} cores, {level}"


def _memory():
    total = memory_limit()
    if total is None:
        return "missing", "the size of the memory is unknown; a preview needs 4 GiB"
    state = "good" if total >= 3.5 * GIB else "missing"
    return state, f"{total / GIB:.1f} GiB" + ("" if state == "good" else "; a preview needs 4 GiB")


def _kernels():
    from milo.cuda_ext.native import native

    return "good", f"compiled, {native.__name__.rsplit('.', 1)[-1].lstrip('_')}"


def _torch():
    import torch

    return "good", f"{torch.__version__}, {torch.get_num_threads()} threads"


def _gpu():
    import torch

    missing = why_no_cuda()
    if missing:
        return "missing", f"{missing}; reconstruction runs on the CPU"
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return "good", ", ".join(f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB" for gpu in found)


def _nvrtc():
    found = [name for name in NVRTC if version(name)]
    if len(found) == len(NVRTC):
        return "good", ", ".join(f"{name} {version(name)}" for name in found)
    return "missing", "the CUDA compiler NVRTC is not installed; the CPU does not need it"


def _alignment():
    found = {name: version(name) for name in ("pycolmap", "opencv-python-headless")}
    missing = [name for name, version in found.items() if not version]
    if missing:
        return "missing", (f"{' and '.join(missing)} not installed: photos without cameras, or videos, cannot be used "
                           "(pip install 'milo-blender[align]')")
    return "good", ", ".join(f"{name} {version}" for name, version in found.items())


def _link():
    import msgpack
    import zmq

    if not zmq.has("curve"):
        return "bad", "pyzmq has no CURVE encryption: pip install --force-reinstall pyzmq"
    return "good", f"pyzmq {zmq.__version__} with CURVE encryption, msgpack {'.'.join(map(str, msgpack.version))}"


def _blender():
    program = shutil.which("blender")
    if program:
        return "good", f"{program}; install the add-on's zip in Preferences > Get Extensions > Install from Disk"
    if version("bpy"):
        return "good", f"the module bpy {version('bpy')}"
    return "missing", "not on the PATH (4.2 or newer is needed to see meshes live; the command line works without)"


def _disk():
    free = shutil.disk_usage(Path.cwd()).free
    state = "good" if free > 2 * GIB else "missing"
    return state, f"{free / GIB:.1f} GiB free here" + ("" if state == "good" else "; a run takes up to 1 GiB")


EXAMINATIONS: dict[str, Callable[[], tuple[str, str]]] = {
    "Python": _python,
    "processor": _processor,
    "memory": _memory,
    "disk": _disk,
    "native kernels": _kernels,
    "torch": _torch,
    "GPU": _gpu,
    "CUDA compiler": _nvrtc,
    "alignment": _alignment,
    "Blender link": _link,
    "Blender": _blender,
}
