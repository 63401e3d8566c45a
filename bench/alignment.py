# SPDX-License-Identifier: Apache-2.0
"""Alignment of scenes whose cameras are known: what is found, how exact it is, how long it takes.

    python -m bench.alignment SCENE [SCENE ...]

A scene folder holds images/, perhaps masks/, and the true model in sparse/. Errors are distances of camera centres
after the best similarity, in percent of the orbit's radius (the median distance of the true cameras to what they look
at).
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from milo.backend.alignment.align import align
from milo.backend.alignment.events import Aligned
from milo.backend.data.colmap import read_colmap
from milo.backend.data.posed import PosedImages, closest_to_axes


def centers(posed: PosedImages) -> dict[str, np.ndarray]:
    """{name: camera centre [3]}."""
    return {image.name: -image.viewmat[:3, :3].T @ image.viewmat[:3, 3] for image in posed.images}


def errors_percent(found: PosedImages, true: PosedImages) -> np.ndarray:
    """[C] errors of the cameras that were found."""
    here, there = centers(found), centers(true)
    a, b = (np.array([side[name] for name in here]) for side in (here, there))
    everywhere = np.array(list(there.values()))
    focus = closest_to_axes(everywhere, np.array([image.viewmat[2, :3] for image in true.images]))
    radius = np.median(np.linalg.norm(everywhere - focus, axis=1))
    a, b = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.linalg.det(u @ vt)])
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    return 100 / radius * np.linalg.norm(scale * a @ (u @ flip @ vt).T - b, axis=1)


def measure(scene: Path, output: Path) -> str:
    """A row of the table."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    end = next(event for event in align(scene, output) if isinstance(event, Aligned))
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    true = read_colmap(scene)
    errors = errors_percent(read_colmap(output), true)
    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in end.seconds.items())
    parts = " + ".join(map(str, end.report.models))
    return (f"| {scene.resolve().name} | {len(errors)} of {len(true.images)} ({parts}) | {np.median(errors):.2f} % | "
            f"{errors.max():.2f} % | {after.ru_utime - before.ru_utime:.0f} s | {wall:.0f} s ({stages}) |")


def main() -> None:
    print("| scene | registered (parts) | median error | largest | CPU time | wall (by stage) |")
    print("|---|---|---|---|---|---|")
    for scene in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(scene), Path(folder) / "scene"), flush=True)


if __name__ == "__main__":
    main()
