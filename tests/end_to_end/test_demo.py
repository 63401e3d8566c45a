# SPDX-License-Identifier: Apache-2.0
"""The whole way, small: the demo on a shrunken schedule, with real Blender, sockets, workers and training."""

import json
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from milo.backend.data.ply import read_mesh

REOPEN = """
import sys, json, bpy
bpy.ops.preferences.addon_enable(module="bl_ext.user_default.milo")
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
obj = bpy.data.objects[sys.argv[2]]
print("FOUND", json.dumps({"triangles": len(obj.data.polygons), "materials": [m.name for m in obj.data.materials],
                           "colors": [a.name for a in obj.data.color_attributes], "job": bpy.context.scene.milo.job}))
"""


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


def test_the_backend_has_learnt_its_speed(demo):
    learnt = json.loads(next(demo.rglob("speeds.json")).read_text())["speeds"]
    assert [len(factors) for factors in learnt.values()] == [1]


def test_pictures_on_the_way_are_of_the_photo_beside_them(demo):
    rendering, photo = np.load(sorted(demo.rglob("pair.npy"))[-1]) / 255.0
    assert rendering.shape == photo.shape == (120, 120, 3) and photo.std() > 0.1
    assert -10 * np.log10(np.mean((rendering - photo) ** 2)) > 22


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
