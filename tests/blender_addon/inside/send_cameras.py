# SPDX-License-Identifier: Apache-2.0
"""Make Blender cameras from cameras.json (name, image, width, height, K, viewmat) and send them: run by a test."""

import json
import os
import sys
from pathlib import Path

import bpy
from mathutils import Matrix

import addon_utils  # isort: skip  (there once bpy is)

room = Path(sys.argv[1])
bpy.ops.wm.read_factory_settings(use_empty=True)
addon_utils.enable("bl_ext.user_default.milo", default_set=True)
from bl_ext.user_default.milo import preferences, session  # noqa: E402

preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
preferences.get().backend_home = str(room / "home")
scene = bpy.context.scene
for item in json.loads((room / "cameras.json").read_text()):
    K, viewmat, width, height = item["K"], Matrix(item["viewmat"]), item["width"], item["height"]
    data = bpy.data.cameras.new(item["name"])
    camera = bpy.data.objects.new(item["name"], data)
    scene.collection.objects.link(camera)
    camera.matrix_world = viewmat.inverted() @ Matrix.Diagonal((1, -1, -1, 1))
    fitted = max(width, height)
    data.lens = K[0][0] * data.sensor_width / fitted
    data.shift_x, data.shift_y = (width / 2 - K[0][2]) / fitted, (K[1][2] - height / 2) / fitted
    data.show_background_images = True
    data.background_images.new().image = bpy.data.images.load(item["image"])
    scene.render.resolution_x, scene.render.resolution_y = width, height
scene.milo.source = "CAMERAS"
bpy.ops.milo.reconstruct()
now = session.current()
assert now.wait(lambda s: s.job_state == "finished", 60), now.trouble
print("JOB", now.job, flush=True)
now.stop_backend()
now.wait(lambda s: s.backend.state == "stopped", 20)
