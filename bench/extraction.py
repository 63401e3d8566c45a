# SPDX-License-Identifier: Apache-2.0
"""All ways of extracting a mesh from the same splats, side by side.

    python -m bench.extraction RUN [--scene SCENE] [--device cuda] [--set section.key=value] [--mesh-nvs ITERATIONS]

RUN is a finished run. Prints a row a method: seconds, vertices, PSNR of the mesh in its vertex colours, its score where
there is ground truth. A method that fails is said, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from pathlib import Path

import torch

from milo.backend.evaluation.report import MeshNvs, evaluate_run
from milo.backend.evaluation.tables import print_report
from milo.backend.extraction.extract import extract

METHODS = {
    "learned": ["extract.method=learned"],
    "learned, as the reference": ["extract.method=learned", "extract.init=learned", "extract.refine_lr_final=0.025",
                                  "extract.air_opacity=0", "extract.drop_unseen=false"],
    "learned, no refinement": ["extract.method=learned", "extract.refine_iters=0"],
    "depth fusion": ["extract.method=depth_fusion"],
    "integration, radegs": ["extract.method=integration", "extract.rasterizer=radegs"],
    "integration, gof": ["extract.method=integration", "extract.rasterizer=gof"],
    "tsdf": ["extract.method=tsdf"],
}


def side_by_side(run: Path, scene: Path | None, device: str, settings: list[str], nvs: int = 0,
                 samples: int = 200_000) -> dict:
    """Extract by every method, evaluate all meshes together, and return the report; seconds are in it by file."""
    seconds = {}
    for name, overrides in METHODS.items():
        path = run / f"mesh_{name.replace(', ', '_').replace(' ', '_')}.ply"
        start = time.perf_counter()
        try:
            extract(run, path, [*settings, *overrides], scene=scene, device=device)
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize()
        except Exception:
            print(f"{name} failed:\n{traceback.format_exc()}")
            continue
        seconds[path.name] = time.perf_counter() - start
        print(f"{name:24} {seconds[path.name]:8.1f} s", flush=True)
    report = evaluate_run(run, scene=scene, device=device, samples=samples, meshes=[run / name for name in seconds],
                          nvs=MeshNvs("corrected", nvs, 1024) if nvs else None)
    return report | {"extraction_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--mesh-nvs", type=int, default=0)
    parser.add_argument("--samples", type=int, default=200_000, help="points of a mesh for its score")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    report = side_by_side(options.run, options.scene, options.device, options.settings, options.mesh_nvs,
                          options.samples)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print_report(report)


if __name__ == "__main__":
    main()
