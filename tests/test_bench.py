# SPDX-License-Identifier: Apache-2.0
"""The benchmark of whole runs, on a run so short that it says nothing but that every figure is there."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.reference import FIGURES, ROWS, lookup, print_table
from bench.whole_run import whole_run

ROOT = Path(__file__).resolve().parent.parent
SHORT = ("data.max_width=64", "schedule.iterations=44", "schedule.half_resolution_until=0", "densify.until_iter=20",
         "densify.from_iter=100", "densify.clone_from=100", "densify.reinit_iter=0", "densify.simplify1_iter=0",
         "densify.simplify2_iter=0", "schedule.depth_normal_from=20", "mesh.start_iter=40", "mesh.max_points=9000",
         "extract.refine_iters=2", "run.provisional_at=[30]", "run.evaluate_at=[]", "run.threads=2")
ONLY_ON_A_GPU = {"peak device memory, GiB"}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_whole_run_has_every_figure(tmp_path, capsys, device):
    figures = whole_run(ROOT / "examples" / "suzanne", tmp_path / "run", ["default"], SHORT, device, samples=2000)
    missing = {row.label for row in ROWS if lookup(figures, row.path) is None}
    assert missing <= (ONLY_ON_A_GPU if device == "cpu" else set())
    assert 0 < figures["first_mesh"] < figures["total"] and figures["extract"] < figures["total"]
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in ("splats_ms", "geometry_ms", "mesh_ms"))
    print_table("suzanne", [figures, figures])
    words = capsys.readouterr().out
    assert "2 seeds: median (range)" in words and "| chamfer, of the diagonal |" in words and "| 7.09e-04 |" in words


def test_the_reference_is_compared_by_paths_that_exist():
    paths = {row.path for row in ROWS}
    assert all(set(figures) <= paths for figures in FIGURES.values())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_from_the_extensions_connection_to_splats_and_back(tmp_path, device):
    """Real processes and sockets, no Blender: photos go, meshes of all kinds and a picture of the splats come."""
    chosen = (*SHORT, "run.snapshot_interval=1", "densify.importance=indoor")
    settings = [word for setting in chosen for word in ("--set", setting)]
    command = [sys.executable, "-m", "bench.service_gpu", "--device", device, "--json", tmp_path / "out.json"]
    done = subprocess.run([*command, *settings], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["meshes"]["provisional"] == figures["meshes"]["final"] == 1 and figures["triangles"] > 100
    assert 0.1 < figures["picture_drawn"] < 0.95 and figures["picture_ms"] < figures["first_picture_ms"]
    assert any(what.startswith(f"on {device}: This takes about") for what in figures["seconds"])


def test_parts_without_their_scene_are_skipped(tmp_path):
    command = [sys.executable, "-m", "bench.gpu", "--part", "fox", "--fox", tmp_path / "none", "--json",
               tmp_path / "out.json", "--runs", tmp_path / "runs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "skipped" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text()) == {"fox": []}
