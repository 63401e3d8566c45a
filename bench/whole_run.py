# SPDX-License-Identifier: Apache-2.0
"""One reconstruction from photos to mesh, timed from inside, and how good its result is.

    python -m bench.whole_run SCENE RUN [--preset default] [--set section.key=value] [--device cuda] [--json FILE]

Time and quality are of the same run. An iteration's time is what the GPU has between the ends of two iterations, idle
or not; medians are over all iterations of a phase, so that events (densification, resets, snapshots) do not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from milo.backend.config import Config, load_config
from milo.backend.data.scene import load_scene
from milo.backend.evaluation.report import evaluate_run
from milo.backend.training.events import Finished, Progress, Snapshot
from milo.backend.training.reconstruct import reconstruct


class Laps:
    """When iterations ended, on the clock of the device."""

    def __init__(self, device: str):
        self.on_gpu = torch.device(device).type == "cuda"
        self.marks = {}

    def mark(self, k: int) -> None:
        """Iteration k has been asked for; nothing waits."""
        if self.on_gpu:
            self.marks[k] = torch.cuda.Event(enable_timing=True)
            self.marks[k].record()
        else:
            self.marks[k] = time.perf_counter()

    def median_ms(self, first: int, last: int) -> float | None:
        """Of iterations first to last; None without any."""
        if self.on_gpu:
            torch.cuda.synchronize()
        pairs = [(self.marks[k - 1], self.marks[k]) for k in range(first, last + 1)
                 if k in self.marks and k - 1 in self.marks]
        laps = [a.elapsed_time(b) if self.on_gpu else 1e3 * (b - a) for a, b in pairs]
        return statistics.median(laps) if laps else None


class Peaks:
    """Most device memory that tensors took, stage by stage."""

    def __init__(self, device: str):
        self.on_gpu, self.stage, self.most = torch.device(device).type == "cuda", "loading", {}
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()

    def enter(self, stage: str) -> None:
        """Another stage begins, or this one goes on."""
        if self.on_gpu and stage != self.stage:
            peak = torch.cuda.max_memory_allocated() / 2**30
            self.most[self.stage] = max(peak, self.most.get(self.stage, 0.0))
            self.stage = stage
            torch.cuda.reset_peak_memory_stats()

    def figures(self) -> dict:
        """Nothing on the CPU."""
        return {"device_gib": max(self.most.values()), "device_gib_by_stage": self.most} if self.most else {}


def whole_run(scene: str | Path, run_dir: str | Path, presets: Sequence[str] = (), settings: Sequence[str] = (),
              device: str = "cuda", samples: int = 200_000) -> dict:
    """Reconstruct and evaluate with so many samples; figures by name, times in seconds unless the name says ms."""
    start = time.perf_counter()
    config = load_config(presets, settings)
    photos = load_scene(scene, config.data)
    laps, peaks, first_mesh, meshes, finished, gaussians = Laps(device), Peaks(device), None, 0, None, 0
    for event in reconstruct(photos, config, run_dir, device=device, resume=False):
        if isinstance(event, Progress):
            peaks.enter(event.stage)
            gaussians = max(gaussians, event.gaussians)
            if event.stage in ("splats", "mesh"):
                laps.mark(event.iteration)
        elif isinstance(event, Snapshot):
            meshes += 1
            first_mesh = first_mesh or time.perf_counter() - start
        elif isinstance(event, Finished):
            finished = event
    total = time.perf_counter() - start
    peaks.enter("evaluation")
    return {"scene": photos.name, "seed": config.run.seed, "total": total, "first_mesh": first_mesh, "meshes": meshes,
            "most_gaussians": gaussians, **_times(finished.seconds, total), **_laps(config, laps),
            **peaks.figures(), **json.loads((Path(run_dir) / "run.json").read_text()),
            "evaluation": evaluate_run(run_dir, scene=scene, samples=samples, device=device)}


def _times(seconds: dict[str, float], total: float) -> dict:
    extract = seconds.get("refine", 0.0) + seconds.get("colours", 0.0)
    return {"train": total - extract, "extract": extract}


def _laps(config: Config, laps: Laps) -> dict:
    mesh, last = config.mesh.start_iter, config.schedule.iterations
    return {"splats_ms": laps.median_ms(1, config.schedule.depth_normal_from - 1),
            "geometry_ms": laps.median_ms(config.schedule.depth_normal_from + 1, min(mesh - 1, last)),
            "mesh_ms": laps.median_ms(mesh + 1, last)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--preset", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--samples", type=int, default=200_000, help="points of the mesh for its score")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    figures = whole_run(args.scene, args.run, args.preset, args.settings, args.device, args.samples)
    text = json.dumps(figures, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
