# SPDX-License-Identifier: Apache-2.0
"""Runs in bpy's own Python: an empty file with the installed extension enabled, for each test."""

import importlib
import os
from pathlib import Path

import bpy
import pytest

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
