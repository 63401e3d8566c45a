# SPDX-License-Identifier: Apache-2.0
"""The tables of whole runs in docs/benchmarks.md: configurations, extraction methods, ablation, seeds, devices.

    python -m bench.tables RESULTS [--table suzanne] [--run "fox, gof"] [--seconds 540] [--part 1/2] [--device cuda]
                           [--preset default] [--set section.key=value] [--list]

A run whose figures are in RESULTS, made with the same settings, is not done again: so the command may be given as
often as it takes. With --seconds no run begins that would not end in time. --part 1/2 and --part 2/2 share the runs
between two processes, with a GPU each (CUDA_VISIBLE_DEVICES=1) and the same RESULTS. Runs are processes of their own;
one that fails stops no other. In the end all that is in RESULTS is printed as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from .table_print import markdown
from .table_rows import RUNS, TABLES, Run

ROOT = Path(__file__).resolve().parent.parent
INDOOR = "densify.importance=indoor"     # as the reference was run


def main() -> int:
    args = _arguments()
    args.results.mkdir(parents=True, exist_ok=True)
    wanted = _mine(_chosen(args), args.part)
    if args.list:
        for run in wanted:
            print(f"{run.seconds + run.methods:6.0f} s  {run.name}")
        return 0
    failed, end, pace = [], time.monotonic() + args.seconds, 1.0
    for run in wanted:
        recipe = _recipe(run, args)
        figures = read_figures(args.results, run.name, recipe)
        expected = pace * (run.seconds + run.methods)
        if figures is not None:
            print(f"-- {run.name}: is there", flush=True)
        elif not _scene(run, args).is_dir():
            print(f"-- {run.name}: {_scene(run, args)} is not there (--{run.scene} FOLDER)", flush=True)
        elif time.monotonic() + expected > end:
            print(f"-- {run.name}: takes about {expected:.0f} s, there are {max(0, end - time.monotonic()):.0f}",
                  flush=True)
        else:
            print(f"-- {run.name}", flush=True)
            start = time.monotonic()
            if not _do(run, recipe, args):
                failed.append(run.name)
            else:
                pace = (time.monotonic() - start) / (run.seconds + run.methods)
    found = {name: figures for name in RUNS if (figures := read_figures(args.results, name)) is not None}
    print(markdown(found))
    if failed:
        print(f"Failed: {'; '.join(failed)}.")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the figures, a file a run")
    parser.add_argument("--table", action="append", choices=TABLES, default=[], help="its runs; all if none is named")
    parser.add_argument("--run", action="append", choices=RUNS, default=[], metavar="NAME", help="a run; see --list")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="default", help="the others layer over it")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="a setting of all runs")
    parser.add_argument("--suzanne", type=Path, default=ROOT / "examples" / "suzanne")
    parser.add_argument("--fox", type=Path, default=Path(os.environ.get("MILO_BENCH_FOX") or ROOT / "examples" / "fox"))
    parser.add_argument("--runs", type=Path, help="folder of the runs themselves; RESULTS/runs if not given")
    parser.add_argument("--samples", type=int, default=200_000, help="points of a mesh for its score")
    parser.add_argument("--list", action="store_true", help="say which runs this would be, and what they may take")
    return parser.parse_args()


def _part(text: str) -> tuple[int, int]:
    part, _, of = text.partition("/")
    if not (part.isdigit() and of.isdigit() and 1 <= int(part) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part like 1/2")
    return int(part), int(of)


def _chosen(args: argparse.Namespace) -> list[Run]:
    tables = args.table or ([] if args.run else list(TABLES))
    names = {name for table in tables for name in TABLES[table].runs} | set(args.run)
    return [run for name, run in RUNS.items() if name in names]


def _mine(runs: list[Run], part: tuple[int, int]) -> list[Run]:
    """The runs of part k of n, in their order: the longest first to whoever has least to do."""
    loads, mine = [0.0] * part[1], set()
    for run in sorted(runs, key=lambda run: -run.seconds - run.methods):
        least = loads.index(min(loads))
        loads[least] += run.seconds + run.methods
        if least == part[0] - 1:
            mine.add(run.name)
    return [run for run in runs if run.name in mine]


def _scene(run: Run, args: argparse.Namespace) -> Path:
    return getattr(args, run.scene)


def _recipe(run: Run, args: argparse.Namespace) -> dict:
    """What the figures of a run depend on."""
    return {"device": run.device or args.device, "presets": [run.base or args.preset, *run.presets],
            "settings": [INDOOR, *args.settings, *run.settings]}


def read_figures(results: Path, name: str, recipe: dict | None = None) -> dict | None:
    """The figures of a run, if they are there and were made by this recipe (None: by any)."""
    try:
        figures = json.loads(_file(results, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return figures if recipe in (None, figures["recipe"]) else None


def _file(results: Path, name: str) -> Path:
    return results / f"{name.replace(', ', '-').replace(' ', '_')}.json"


def _do(run: Run, recipe: dict, args: argparse.Namespace) -> bool:
    """Do a run and write its figures; whether that went well."""
    file = _file(args.results, run.name)
    folder = (args.runs or args.results / "runs") / file.stem
    partial = file.with_suffix(".partial")
    scene, device = _scene(run, args), recipe["device"]
    words = [word for preset in recipe["presets"] for word in ("--preset", preset)]
    words += [word for setting in recipe["settings"] for word in ("--set", setting)]
    if not _python("-m", "bench.whole_run", scene, folder, "--device", device, "--samples", args.samples,
                   "--json", partial, *words):
        return False
    figures = json.loads(partial.read_text(encoding="utf-8"))
    figures |= {"recipe": recipe, "mesh_mb": (folder / "mesh.ply").stat().st_size / 1e6, "events": _events(folder)}
    if run.methods:
        if not _python("-m", "bench.extraction", folder, "--scene", scene, "--device", device, "--samples",
                       args.samples, "--json", partial):
            return False
        figures["methods"] = json.loads(partial.read_text(encoding="utf-8"))
    partial.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, file)
    return True


def _events(folder: Path) -> dict[str, int]:
    """How often each event of training came."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return dict(Counter(line["event"] for line in map(json.loads, lines) if "event" in line))


def _python(*words) -> bool:
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
