# SPDX-License-Identifier: Apache-2.0
"""How much memory there is, on the CPU's side and on the GPU's."""

from __future__ import annotations

import os
from pathlib import Path

GIB = 1024**3


def memory_limit() -> int | None:
    """Bytes of memory this process may use: the machine's, or its control group's if smaller. None if unknown."""
    limits = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text().strip() if Path(path).is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits, default=None)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_memory(device: str) -> tuple[int, int] | None:
    """(free, all) bytes for tensors on a torch device; on the CPU all of it counts as free. None if unknown."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)
    limit = memory_limit()
    return None if limit is None else (limit, limit)
