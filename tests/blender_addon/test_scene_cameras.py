# SPDX-License-Identifier: Apache-2.0
"""The cameras of an open Blender scene arrive at the backend as the cameras they were made from."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SUZANNE = HERE.parents[1] / "examples" / "suzanne"


def test_cameras_survive_the_way_through_blender(bpy, tmp_path):
    from milo.backend.config import DataConfig
    from milo.backend.data.scene import load_scene, read_posed

    before = read_posed(SUZANNE, DataConfig()).images[::8]
    room = [{"name": f"camera {i:02d}", "image": str(posed.path), "width": posed.width, "height": posed.height,
             "K": posed.K.tolist(), "viewmat": posed.viewmat.tolist()} for i, posed in enumerate(before)]
    (tmp_path / "cameras.json").write_text(json.dumps(room))
    run = bpy.run(str(HERE / "inside" / "send_cameras.py"), str(tmp_path))
    assert "JOB " in run.stdout, run.stdout

    job = run.stdout.split("JOB ")[1].split()[0]
    scene = tmp_path / "home" / "jobs" / job / "scene"
    after = read_posed(scene, DataConfig()).images
    assert len(after) == len(before) >= 5
    for want, got in zip(before, after):
        assert (got.width, got.height) == (want.width, want.height)
        assert np.abs(got.K - want.K).max() < 1e-2       # pixels
        assert np.abs(got.viewmat - want.viewmat).max() < 1e-5
        assert got.path.read_bytes() == want.path.read_bytes()
    assert len(load_scene(scene, DataConfig(holdout=False)).train) == len(before)   # and they can be trained on
