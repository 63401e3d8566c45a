# SPDX-License-Identifier: Apache-2.0
"""Runs in bpy's own Python: an empty file with the installed extension enabled, for each test."""

import importlib
import math
import os
from pathlib import Path

import bpy
import pytest
from mathutils import Matrix

MODULE = "bl_ext.user_default.milo"


@pytest.fixture
def milo():
    """The enabled extension: `milo("scene.cameras")` gives one of its modules."""
    import addon_utils  # there once bpy is

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable(MODULE, default_set=True)
    yield lambda name="": importlib.import_module(f"{MODULE}.{name}" if name else MODULE)
    addon_utils.disable(MODULE, default_set=True)


@pytest.fixture
def session(milo, tmp_path):
    """The session, set up to start the test backend in a home of its own."""
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.backend_program = os.environ["MILO_PROGRAM"]
    preferences.backend_home = str(tmp_path / "home")
    bpy.context.scene.milo.source = "FOLDER"
    bpy.context.scene.milo.refresh_s = 0.0    # the test backends train faster than anybody looks
    return milo("session").current()


@pytest.fixture
def photos(tmp_path):
    """A scene folder with three photos, cameras and things that are not part of it."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    (folder / "images_2").mkdir()
    (folder / "sparse" / "0").mkdir(parents=True)
    for i in range(3):
        save_photo(folder / "images" / f"{i}.png", 8, 6, i / 3)
    save_photo(folder / "images_2" / "0.png", 4, 3, 0.0)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        (folder / "sparse" / "0" / name).write_bytes(name.encode() * 40)
    (folder / "notes.txt").write_text("not part of the scene")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def save_photo(path: Path, width: int, height: int, grey: float) -> Path:
    image = bpy.data.images.new("photo", width, height)
    image.pixels[:] = [grey, grey, grey, 1.0] * (width * height)
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


@pytest.fixture
def make_photo(tmp_path):
    return lambda name, width, height, grey=0.5: save_photo(tmp_path / name, width, height, grey)


@pytest.fixture
def splat_session(session):
    """The session with the real service, whose reconstructions end at once with a ball of real Gaussians."""
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.backend_program = os.environ["MILO_SPLATS_PROGRAM"]
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


@pytest.fixture
def ball(splat_session, photos):
    """ball(colour, x) makes the finished object of a new reconstruction; a camera looks along y from (0, -3, 0)."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.matrix_world = Matrix.Translation((0, -3, 0)) @ Matrix.Rotation(math.pi / 2, 4, "X")
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine = "MILO_SPLATS"
    scene.render.resolution_x, scene.render.resolution_y = 160, 120
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Raw"

    def make(colour="red", x=0.0):
        scene.milo.folder, scene.milo.overrides = str(photos), f'fake.colour="{colour}"; fake.x={x}'
        bpy.ops.milo.reconstruct()
        finished = splat_session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60)
        assert finished, splat_session.trouble
        obj = next(obj for obj in bpy.data.objects if obj.milo.job == scene.milo.job)
        assert "rest_co" in obj.data.attributes
        return obj
    return make
