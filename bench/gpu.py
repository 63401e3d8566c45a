# SPDX-License-Identifier: Apache-2.0
"""`make bench-gpu`: checks the CUDA driver, times ops and whole runs, and prints them beside the reference.

    python -m bench.gpu [--part ops --part fox] [--seed 0 --seed 1] [--fox FOLDER] [--set mesh.every=2] [--json FILE]
    make bench-gpu BENCH="--part suzanne --seed 0 --seed 1 --seed 2"

Parts, in this order: check (the quick ones of the tests that need a GPU), ops (single ops), iterations (plain
ones, phase by phase), suzanne, fox (default preset, every eighth photo held out), dense (fox with all Gaussians that
matter), service (suzanne once more, by the extension's connection over real sockets). All of them if none is named; a
scene that is not on the disk is skipped. Scenes: examples/suzanne, and $MILO_BENCH_FOX or --fox. Parts run in processes
of their own, and one that fails stops no other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .reference import print_table

ROOT = Path(__file__).resolve().parent.parent
QUICK_TESTS = ("tests/cuda_ext/cuda/test_on_a_gpu.py", "tests/cuda_ext/splats/test_gpu.py", "tests/backend")
MODULES = {"ops": ("bench.gpu_ops", "bench.raster_gpu"), "iterations": ("bench.iterations", "bench.mesh_iteration")}
INDOOR = "densify.importance=indoor"     # as the reference was run
RUNS = {"suzanne": ("suzanne", ["default"]), "fox": ("fox", ["default"]), "dense": ("fox", ["default", "dense"])}
PARTS = ("check", *MODULES, *RUNS, "service")


def main() -> int:
    args = _arguments()
    folder = args.runs or Path(tempfile.mkdtemp(prefix="milo-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    report, failed = {}, []
    for part in args.part or PARTS:
        print(f"\n== {part}", flush=True)
        if part == "check":
            ok = _python("-m", "pytest", "-q", "-m", "gpu", *QUICK_TESTS)
        elif part == "service":
            settings = [word for setting in (INDOOR, *args.settings) for word in ("--set", setting)]
            ok = _python("-m", "bench.service_gpu", args.suzanne, "--device", args.device, *settings)
        elif part in MODULES:
            ok = all([_python("-m", module) for module in MODULES[part]])
        else:
            report[part], ok = _runs(part, args, folder)
        if not ok:
            failed.append(part)
    for part, runs in report.items():
        if runs:
            print_table(part, runs)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\nRuns are in {folder}." + (f" Failed: {', '.join(failed)}." if failed else ""))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seed", action="append", type=int, help="of the whole runs; several give medians; 0")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="a setting of the whole runs")
    parser.add_argument("--suzanne", type=Path, default=ROOT / "examples" / "suzanne")
    parser.add_argument("--fox", type=Path, default=Path(os.environ.get("MILO_BENCH_FOX") or ROOT / "examples" / "fox"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=Path, help="folder for the runs; a temporary one if not given")
    parser.add_argument("--json", type=Path, help="file for all figures of the whole runs")
    return parser.parse_args()


def _runs(part: str, args: argparse.Namespace, folder: Path) -> tuple[list[dict], bool]:
    """Figures of a part for each seed, and whether all went well."""
    name, presets = RUNS[part]
    scene = getattr(args, name)
    if not scene.is_dir():
        print(f"skipped: {scene} is not there (--{name} FOLDER or MILO_BENCH_{name.upper()})")
        return [], True
    runs, ok = [], True
    for seed in args.seed or [0]:
        run = folder / f"{part}-{seed}"
        words = [word for preset in presets for word in ("--preset", preset)]
        for setting in (INDOOR, f"run.seed={seed}", *args.settings):
            words += ["--set", setting]
        file = folder / f"{part}-{seed}.json"
        if _python("-m", "bench.whole_run", scene, run, "--device", args.device, "--json", file, *words):
            runs.append(json.loads(file.read_text(encoding="utf-8")))
        else:
            ok = False
    return runs, ok


def _python(*words) -> bool:
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
