# SPDX-License-Identifier: Apache-2.0
"""How long a live reconstruction holds up the user interface, in a real Blender window.

    MILO_BLENDER=... python -m bench.window_stalls [--triangles 200000 2000000] [--groups 0 2 20]

Meshes of about that many triangles come one after another, as a backend sends them, with vertex groups that overlap as
a rig's do. All that the add-on does on the main thread is timed: between two meshes, and where a mesh is replaced, by
the clock and, in brackets, by the main thread's own computing (the first counts what else the machine does); and the
longest gap between two calls of a timer, with Blender's drawing in it. bench/blender/stage.py says what a window needs.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .blender import stage as window

ROOT = Path(__file__).resolve().parent.parent
DRIVER = Path(__file__).resolve().parent / "blender" / "drive_stalls.py"
BACKEND = ROOT / "tests" / "blender_addon" / "fake_backend.py"
HEAD = """
| triangles | vertex groups | between meshes | at a mesh | a triangle | panels | longest gap | gap by drawing |
|---|---|---|---|---|---|---|---|"""


def build(folder: Path) -> Path:
    command = [sys.executable, str(ROOT / "build_addon.py"), "--platform", "current", "--dist", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("milo-*.zip"))


def measure(addon_zip: Path, triangles: int, groups: int) -> dict:
    """The figures of one job of a few meshes (milliseconds; see Stopwatch in blender/hands.py)."""
    rings = max(4, round(math.sqrt(triangles / 4)))
    with window.screen() as display, window.room() as room:
        for path in ("photos/images/0.png", "photos/sparse/0/cameras.bin"):   # of which nobody but a hash knows
            (room / path).parent.mkdir(parents=True)
            (room / path).write_bytes(b"not looked at")
        stage = window.Stage(display, room, addon_zip, ROOT / "build" / "window",
                             [sys.executable, str(BACKEND), "serve"])
        try:
            return stage.play(DRIVER, limit_s=590, GROUPS=str(groups), FAKE_RINGS=str(rings), FAKE_STEP_S="3")
        finally:
            stage.close()


def row(figures: dict) -> str:
    def both(name: str, digits: int) -> str:
        return f"{figures[f'{name}_ms']:.{digits}f} ms ({figures[f'{name}_cpu_ms']:.{digits}f})"

    each = 1000 * figures["refresh_ms"] / figures["triangles"]
    return (f"| {figures['triangles']:,} | {figures['groups']} | {both('between', 1)} | {both('refresh', 0)} | "
            f"{each:.2f} us | {both('draw', 1)} | {figures['gap_ms']:.0f} ms | {figures['redraw_ms']:.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triangles", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--groups", type=int, nargs="+", default=[0, 2, 20])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        addon_zip = build(Path(folder))
        print(f"Blender: {' '.join(window.blender_command())}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(HEAD)
        for triangles in args.triangles:
            for groups in args.groups:
                print(row(measure(addon_zip, triangles, groups)), flush=True)


if __name__ == "__main__":
    main()
