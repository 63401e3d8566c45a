# SPDX-License-Identifier: Apache-2.0
"""What the published implementation takes and gives on one NVIDIA H200, and a table of our figures beside it.

Measured once each, on this kind of machine, with the photos, points and splits of our runs: rasteriser RaDe-GS,
importance "indoor", 18,000 iterations. Extraction includes the start of its process.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A figure of `whole_run`: its name in the table, the path to it (a/b/c), how to print it."""

    label: str
    path: str
    form: str = ".2f"


ROWS = (
    Row("train, s", "train", ".1f"),
    Row("extract, s", "extract", ".1f"),
    Row("train + extract, s", "total", ".1f"),
    Row("first (provisional) mesh, s", "first_mesh", ".1f"),
    Row("plain iteration, geometry phase, ms", "geometry_ms"),
    Row("plain iteration, mesh phase, ms", "mesh_ms"),
    Row("blocked by Delaunay, s", "delaunay_blocked_s", ".1f"),
    Row("PSNR of the splats, dB", "evaluation/psnr"),
    Row("SSIM of the splats", "evaluation/ssim", ".4f"),
    Row("PSNR of the mesh, vertex colours, dB", "evaluation/mesh_psnr"),
    Row("SSIM of the mesh, vertex colours", "evaluation/mesh_ssim", ".4f"),
    Row("pixels that show the mesh", "evaluation/mesh_coverage", ".4f"),
    Row("F(0.01)", "evaluation/score/tau 0.01/fscore", ".4f"),
    Row("F(0.0025)", "evaluation/score/tau 0.0025/fscore", ".4f"),
    Row("F(0.001)", "evaluation/score/tau 0.001/fscore", ".4f"),
    Row("chamfer, of the diagonal", "evaluation/score/chamfer", ".2e"),
    Row("F(0.0025), seen surface", "evaluation/score_seen/tau 0.0025/fscore", ".4f"),
    Row("F(0.001), seen surface", "evaluation/score_seen/tau 0.001/fscore", ".4f"),
    Row("chamfer, seen surface", "evaluation/score_seen/chamfer", ".2e"),
    Row("Gaussians, most", "most_gaussians", ",.0f"),
    Row("Gaussians at the end", "evaluation/gaussians", ",.0f"),
    Row("triangles", "evaluation/faces", ",.0f"),
    Row("peak device memory, GiB", "device_gib"),
)

FIGURES: dict[str, dict[str, float]] = {
    "suzanne": {
        "train": 701, "extract": 51, "total": 752, "evaluation/score/tau 0.01/fscore": 0.9992,
        "evaluation/score/tau 0.0025/fscore": 0.9324, "evaluation/score/tau 0.001/fscore": 0.8521,
        "evaluation/score/chamfer": 7.09e-4, "evaluation/gaussians": 39_213, "evaluation/faces": 1_201_788,
    },
    "fox": {
        "train": 875, "extract": 53, "total": 928, "geometry_ms": 17.3, "mesh_ms": 46.8, "delaunay_blocked_s": 197.6,
        "evaluation/psnr": 31.04, "evaluation/ssim": 0.8839, "evaluation/mesh_psnr": 20.05,
        "evaluation/mesh_ssim": 0.7579, "evaluation/mesh_coverage": 0.9998, "most_gaussians": 1_098_952,
        "evaluation/gaussians": 72_910, "evaluation/faces": 2_102_195, "device_gib": 1.94,
    },
    "dense": {   # stopped after half of the run, so that the whole time is an estimate
        "train": 1290, "geometry_ms": 25.3, "mesh_ms": 65.1, "evaluation/gaussians": 779_159,
    },
}


def lookup(figures: dict, path: str) -> float | None:
    """The figure at a/b/c, None if there is none."""
    value = figures
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def print_table(part: str, runs: Sequence[dict]) -> None:
    """The runs of a part, one for each seed, beside the reference: a table of Markdown."""
    known = FIGURES.get(part, {})
    print(f"\n| {part} | ours{f', {len(runs)} seeds: median (range)' if len(runs) > 1 else ''} | reference |")
    print("|---|---|---|")
    for label, path, form in ROWS:
        ours = [value for run in runs if (value := lookup(run, path)) is not None]
        if not ours and path not in known:
            continue
        words = format(statistics.median(ours), form) if ours else ""
        if len(ours) > 1:
            words += f" ({min(ours):{form}} to {max(ours):{form}})"
        print(f"| {label} | {words} | {format(known[path], form) if path in known else ''} |")
