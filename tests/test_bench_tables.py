# SPDX-License-Identifier: Apache-2.0
"""The tables of whole runs: done once, taken up again, shared out, printed."""

import json
import subprocess
import sys

import pytest

from bench import tables
from bench.table_print import markdown
from bench.table_rows import RUNS, TABLES

from .test_bench import ROOT, SHORT

TINY = [word for setting in SHORT for word in ("--set", setting)]


def call(results, *words):
    command = [sys.executable, "-m", "bench.tables", results, "--device", "cpu", "--samples", "2000", *words]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_runs_are_done_once(tmp_path):
    call(tmp_path, "--run", "suzanne, verylow", *TINY, "--seconds", "70")
    figures = json.loads((tmp_path / "suzanne-verylow.json").read_text())
    assert figures["recipe"]["presets"] == ["default", "verylow"] and figures["events"]["delaunay"] == 1
    assert figures["mesh_mb"] == pytest.approx((tmp_path / "runs/suzanne-verylow/mesh.ply").stat().st_size / 1e6)
    written = (tmp_path / "suzanne-verylow.json").stat().st_mtime_ns

    both = ["--run", "suzanne, verylow", "--run", "no labels", *TINY]
    late = call(tmp_path, *both, "--seconds", "70")
    assert "-- no labels: takes about 75 s, there are " in late and "| no labels |" not in late

    text = call(tmp_path, *both)
    assert "-- suzanne, verylow: is there" in text and "-- no labels\n" in text
    assert (tmp_path / "suzanne-verylow.json").stat().st_mtime_ns == written
    assert f"| suzanne, verylow | {figures['train']:.1f} |" in text and "MB, below the bar of 20 MB" in text
    assert "### Ablation" in text and "| no labels |" in text
    terms = (tmp_path / "runs" / "no_labels" / "metrics.jsonl").read_text().splitlines()
    labels = [json.loads(line)["labels"] for line in terms if '"labels":' in line]
    assert labels and not any(labels)                              # the ablated loss is 0

    other = call(tmp_path, "--run", "no labels", *TINY, "--set", "run.seed=3", "--seconds", "1")
    assert "-- no labels: takes about" in other                    # other settings are another run


def test_parts_share_the_runs():
    runs = list(RUNS.values())
    for parts in (1, 2, 3):
        shares = [tables._mine(runs, (part, parts)) for part in range(1, parts + 1)]
        names = [run.name for share in shares for run in share]
        assert sorted(names) == sorted(RUNS)
        loads = [sum(run.seconds + run.methods for run in share) for share in shares]
        assert max(loads) - min(loads) < 0.15 * max(loads)


def test_tables_name_runs_that_exist_and_presets_load():
    from milo.backend.config import load_config

    assert {name for table in TABLES.values() for name in table.runs} == set(RUNS)
    configs = [load_config(["default", *run.presets], run.settings) for run in RUNS.values() if not run.base]
    different = {(str(config), run.scene) for config, run in zip(configs, RUNS.values())}
    assert len(different) == len(configs) - 1                      # one is done once more on purpose
    files = {tables._file(tables.Path(), name) for name in RUNS}
    assert len(files) == len(RUNS)


def test_seeds_are_compared_and_methods_stand_side_by_side():
    score = {"tau 0.01": {"fscore": 0.99}, "tau 0.0025": {"fscore": 0.9}, "tau 0.001": {"fscore": 0.8}, "chamfer": 1e-3}
    one = {"train": 40.0, "events": {"clone": 9}, "mesh_mb": 25.0, "evaluation": {"psnr": 37.0, "score": score},
           "recipe": {"presets": ["default", "low"], "device": "cuda"}}
    two = one | {"train": 42.5, "evaluation": {"psnr": 37.5, "score": score}}
    text = markdown({"suzanne": one, "suzanne, seed 1": two})
    assert "### Seeds (default on cuda)" in text and "| full | 40.0 |" in text
    assert "train, s 2.5" in text and "PSNR 0.50" in text and "the same in all: clone 9." in text
    text = markdown({"suzanne": one, "suzanne, seed 1": two | {"events": {"clone": 8}}})
    assert "DIFFER: suzanne: {'clone': 9}; suzanne, seed 1: {'clone': 8}" in text
    methods = {"extraction_seconds": {"mesh_tsdf.ply": 3.7},
               "meshes": [{"mesh": "mesh_tsdf.ply", "vertices": 1234, "mesh_psnr": 25.9, "score": score}]}
    text = markdown({"suzanne": one | {"methods": methods}})
    assert "| tsdf | 3.7 | 1,234 | 25.90 | 0.990 | 0.900 | 0.800 | 1.00e-03 |" in text
    text = markdown({"suzanne, low": one | {"mesh_mb": 50.0}})
    assert "suzanne, low: 50.0 MB, NOT below the bar of 50 MB" in text
