# SPDX-License-Identifier: Apache-2.0
"""Is the process that owns this server still there?"""

from __future__ import annotations

import os


def is_alive(pid: int) -> bool:
    if os.name == "nt":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes  # os.kill(pid, 0) would send Ctrl-C

    kernel = ctypes.windll.kernel32
    handle = kernel.OpenProcess(0x00100000, False, pid)     # SYNCHRONIZE
    if not handle:
        return False
    try:
        return kernel.WaitForSingleObject(handle, 0) == 0x102     # WAIT_TIMEOUT: it has not ended
    finally:
        kernel.CloseHandle(handle)
