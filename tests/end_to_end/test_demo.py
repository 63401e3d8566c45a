# SPDX-License-Identifier: Apache-2.0
"""The whole way, small: the demo on a shrunken schedule, with real Blender, sockets, workers and training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milo.backend.data.ply import read_mesh

ROOT = Path(__file__).resolve().parents[2]
MICRO = {
    "data.max_width": 120,
    "schedule.iterations": 300, "schedule.depth_normal_from": 100, "schedule.sh_steps": [120],
    "densify.from_iter": 20, "densify.until_iter": 100, "densify.clone_from": 20, "densify.clone_interval": 30,
    "densify.reinit_iter": 60, "densify.reinit_max": 5000, "densify.simplify1_iter": 100, "densify.simplify2_iter": 180,
    "model.max_gaussians": 8000,
    "mesh.start_iter": 181, "mesh.stop_iter": 300, "mesh.delaunay_interval": 30, "mesh.sdf_interval": 30,
    "mesh.sdf_stop_iter": 250, "mesh.labels_interval": 30,
    "extract.refine_iters": 40, "extract.labels_interval": 20,
    "run.evaluate_at": [], "run.provisional_at": [60, 100, 150], "run.snapshot_interval": 10,
    "run.checkpoint_interval": 100, "service.snapshot_interval_s": 0.0,
}
REOPEN = """
import sys, json, bpy
bpy.ops.preferences.addon_enable(module="bl_ext.user_default.milo")
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
obj = bpy.data.objects[sys.argv[2]]
print("FOUND", json.dumps({"triangles": len(obj.data.polygons), "materials": [m.name for m in obj.data.materials],
                           "colors": [a.name for a in obj.data.color_attributes], "job": bpy.context.scene.milo.job}))
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory, bpy_python) -> Path:
    out = tmp_path_factory.mktemp("demo")
    built = subprocess.run([sys.executable, ROOT / "build_addon.py", "--platform", "current", "--dist", out / "dist"],
                           capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    backend = out / "milo"
    backend.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m milo.backend.cli "$@"\n')
    backend.chmod(0o755)
    settings = "; ".join(f"{key}={json.dumps(value)}" for key, value in MICRO.items())
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--bpy", bpy_python, "--backend", backend,
         "--zip", next((out / "dist").glob("*.zip")), "--out", out / "demo", "--set", settings],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert run.returncode == 0, run.stdout
    return out / "demo"


@pytest.fixture(scope="module")
def report(demo) -> dict:
    return json.loads((demo / "report.json").read_text())


def test_the_mesh_refreshes_in_blender(report):
    refreshes = report["refreshes"]
    kinds = [refresh["kind"] for refresh in refreshes]
    assert len(refreshes) >= 8
    assert kinds[0] == "provisional"                 # before the mesh loop begins
    assert kinds.count("live") >= 3
    assert kinds[-1] == "final" and kinds.count("final") == 1
    iterations = [refresh["iteration"] for refresh in refreshes]
    assert iterations == sorted(iterations)


def test_blender_holds_the_very_mesh_of_the_run(report, demo):
    verts, faces, colors = read_mesh(demo / "mesh.ply")
    assert report["triangles"] == len(faces) and report["vertices"] == len(verts)
    last = np.load(demo / "stages" / report["refreshes"][-1]["file"])
    assert np.array_equal(last["verts"], verts) and np.array_equal(last["faces"], faces)
    assert colors.std() > 10


def test_the_result_is_suzanne(report):
    """A minute of training on pictures of 120 pixels: rough, but there, and in the scene's own frame."""
    assert report["psnr"] > 24
    score = report["score"]
    assert score["tau 0.01"]["fscore"] > 0.8
    assert score["tau 0.0025"]["fscore"] > report["score_initial_points"]["tau 0.0025"]["fscore"]


def test_the_blend_file_keeps_everything(report, demo, bpy_python):
    run = subprocess.run([bpy_python, "-c", REOPEN, demo / "scene.blend", report["object"]], text=True,
                         env=os.environ | {"BLENDER_USER_RESOURCES": str(demo / "blender")}, stdout=subprocess.PIPE)
    line = next(line for line in run.stdout.splitlines() if line.startswith("FOUND "))
    found = json.loads(line.removeprefix("FOUND "))
    assert found["triangles"] == report["triangles"]
    assert len(found["materials"]) == 1 and len(found["colors"]) == 1
    assert found["job"] == report["job"]


def test_splats_are_drawn_from_blenders_camera(demo):
    picture = np.asarray(Image.open(demo / "splats_in_blender.png").convert("RGBA"))
    assert picture.shape[:2] == (480, 640)
    drawn = picture[..., 3] > 128
    assert 0.1 < drawn.mean() < 0.9                  # the object, and room around it
    assert picture[..., :3][drawn].std() > 20


def test_the_pictures_are_there(demo):
    sheet = Image.open(demo / "contact_sheet.png")
    assert sheet.width > 1000 and sheet.height > 1000
