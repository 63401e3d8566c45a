# SPDX-License-Identifier: Apache-2.0
"""Blender's cameras as computer vision sees them: Blender's own projection is the oracle."""

import itertools
import json

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

POINTS = np.random.default_rng(0).uniform(-1, 1, (20, 3))


def add_camera(name="camera", location=(1.0, -5.0, 2.0)):
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    bpy.context.scene.collection.objects.link(camera)
    camera.location = location
    camera.rotation_euler = (1.2, 0.15, 0.2)
    bpy.context.view_layer.update()
    return camera


def frame(width, height, aspect_x=1.0, aspect_y=1.0):
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = aspect_x, aspect_y


def pixels(K, viewmat):
    seen = viewmat[:3, :3] @ POINTS.T + viewmat[:3, 3:]
    projected = K @ seen
    return (projected[:2] / projected[2]).T, seen[2]


def blender_pixels(camera, width, height):
    seen = np.array([world_to_camera_view(bpy.context.scene, camera, Vector(p)) for p in POINTS])
    return np.stack([seen[:, 0] * width, (1 - seen[:, 1]) * height], 1), seen[:, 2]


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("shape", [(640, 480), (300, 500), (400, 400)])
def test_K_is_blenders_projection(milo, fit, shape):
    cameras = milo("scene.cameras")
    camera = add_camera()
    camera.scale = (2.0, 0.5, 3.0)   # does not count
    data = camera.data
    data.sensor_fit, data.lens, data.sensor_width, data.sensor_height = fit, 42.0, 30.0, 20.0
    for shift, aspect in itertools.product([(0.0, 0.0), (0.13, -0.21)], [(1.0, 1.0), (1.0, 1.5), (2.0, 1.0)]):
        data.shift_x, data.shift_y = shift
        frame(*shape, *aspect)
        bpy.context.view_layer.update()
        width, height, pixel_aspect = cameras.frame_size(bpy.context.scene)
        ours, depth = pixels(cameras.intrinsics(data, width, height, pixel_aspect), cameras.viewmat_of(camera))
        theirs, their_depth = blender_pixels(camera, width, height)
        assert np.abs(ours - theirs).max() < 2e-2 and np.allclose(depth, their_depth, atol=1e-4)


def test_a_photo_that_is_stretched_fitted_or_cropped(milo):
    """The same point lies on the same spot of the photo, wherever the photo lies in the frame."""
    cameras = milo("scene.cameras")
    K = np.array([[500.0, 0, 210], [0, 500.0, 140], [0, 0, 1]])
    frame_px = np.array([90.0, 70.0])
    for method, expected in (
        ("STRETCH", (90 * 800 / 400, 70 * 450 / 300)),                       # each axis by itself
        ("FIT", (400 + (90 - 200) * 2.0, 225 + (70 - 150) * 2.0)),            # 800 x 450 in 400 x 300: width fills
        ("CROP", (400 + (90 - 200) * 1.5, 225 + (70 - 150) * 1.5)),           # height fills
    ):
        photo_K = cameras.fit_to_photo(K, (400, 300), (800, 450), 1.0, method)
        ray = np.linalg.inv(K) @ [*frame_px, 1]
        at = photo_K @ ray
        assert np.allclose(at[:2] / at[2], expected), method


def with_photo(camera, path):
    image = bpy.data.images.load(str(path))
    camera.data.show_background_images = True
    background = camera.data.background_images.new()
    background.image = image
    return background


def test_scene_cameras_are_sent_with_their_photos(session, make_photo, tmp_path):
    frame(64, 48)
    for i in range(3):
        with_photo(add_camera(f"view.{i}", (i, -5.0, 2.0)), make_photo(f"{i}.png", 32, 24, i / 3))
    add_camera("without photo")
    bpy.data.images["1.png"].pack()
    (tmp_path / "1.png").unlink()    # packed: the file is not needed
    bpy.context.scene.milo.source = "CAMERAS"
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished", 30), session.trouble
    asked = map(json.loads, (session.backend.home / "asked.jsonl").open())
    start = next(text for kind, text in asked if kind == "StartJob")
    assert start.count("SceneCamera(") == 3 and "width=32, height=24" in start and "name='view_0.png'" in start
    assert len(list((session.backend.home / "blobs").iterdir())) == 3

    from bl_ext.user_default.milo.scene import cameras
    photo = cameras.photo_cameras(bpy.context.scene)[1]
    assert isinstance(photo.source, bytes) and photo.source[:4] == b"\x89PNG"
    ours, _ = pixels(photo.K, photo.viewmat)
    theirs, _ = blender_pixels(bpy.data.objects["view.1"], 32, 24)
    assert np.abs(ours - theirs).max() < 1e-3


def test_photos_that_cannot_be_used(milo, make_photo, tmp_path):
    cameras = milo("scene.cameras")
    scene = bpy.context.scene

    def complaint():
        with pytest.raises(cameras.CameraError) as error:
            cameras.photo_cameras(scene)
        return str(error.value)

    camera = add_camera("front")
    assert "background image" in complaint()
    background = with_photo(camera, make_photo("a.png", 32, 24))
    assert len(cameras.photo_cameras(scene)) == 1

    camera.data.type = "ORTHO"
    assert "front" in complaint()
    camera.data.type = "PERSP"
    background.scale = 1.5
    assert "reset" in complaint()
    background.scale = 1.0
    background.image.pixels[0] = 0.123
    assert "unsaved" in complaint()
    background.image.reload()
    background.image.filepath = str(tmp_path / "gone.png")
    assert "missing" in complaint() and "gone.png" in complaint()
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    background.image.filepath = str(damaged)
    assert "damaged" in complaint()
    background.image = bpy.data.images.new("made", 8, 8)
    assert "generated" in complaint()


def test_rigid_moves_only(milo):
    splats = milo("scene.splat_image")
    cameras = milo("scene.cameras")
    viewmat = np.eye(4)
    with pytest.raises(cameras.CameraError, match="mirrored"):
        splats.rigid_viewmat(viewmat, np.diag([-1.0, 1, 1, 1]), "thing")
    with pytest.raises(cameras.CameraError, match="stretched"):
        splats.rigid_viewmat(viewmat, np.diag([1.0, 1, 1.1, 1]), "thing")
    with pytest.raises(cameras.CameraError, match="stretched"):
        splats.rigid_viewmat(viewmat, np.zeros((4, 4)), "thing")
