# SPDX-License-Identifier: Apache-2.0
"""The render engine "MILo": F12 in background with the real service drawing real Gaussians."""

import math
import os

import bpy
import numpy as np
import pytest
from mathutils import Matrix


@pytest.fixture
def render(tmp_path):
    """render() -> [H, W, 4] float32, linear, premultiplied, top row first."""
    count = iter(range(1000))

    def make():
        scene = bpy.context.scene
        scene.render.image_settings.file_format = "OPEN_EXR"
        scene.render.image_settings.color_mode, scene.render.image_settings.color_depth = "RGBA", "32"
        scene.render.filepath = str(tmp_path / f"{next(count)}.exr")
        bpy.ops.render.render(write_still=True)
        return pixels_of(scene.render.filepath)
    return make


def pixels_of(path):
    image = bpy.data.images.load(path)
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(4 * width * height, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


def encoded(linear):
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def straight(rgba):
    """8-bit sRGB as the backend says it, from a transparent rendering."""
    alpha = rgba[..., 3:]
    return np.concatenate([encoded(rgba[..., :3] / np.maximum(alpha, 1e-6)) * alpha, alpha], 2)


def psnr(a, b):
    return -10 * math.log10(max(float(((a - b) ** 2).mean()), 1e-12))


def of_the_backend(session, obj):
    """The picture of a job at rest from the scene camera, by another way than the engine's."""
    from bl_ext.user_default.milo.protocol.messages import RenderSplats
    from bl_ext.user_default.milo.scene import splat_image
    bpy.context.view_layer.update()
    viewmat, K, (width, height), _ = splat_image.splat_camera(bpy.context.scene, obj)
    question = RenderSplats(obj.milo.job, tuple(viewmat.ravel().tolist()), tuple(K.ravel().tolist()), width, height)
    return session.backend.client.request(question).result(60).image / 255.0


def covered(rgba, colour):
    """Share of pixels that show a ball of a colour."""
    main = {"red": 0, "green": 1, "blue": 2}[colour]
    others = np.delete(rgba[..., :3], main, axis=2).max(2)
    return ((rgba[..., 3] > 0.8) & (rgba[..., main] > 2 * others)).mean()


def test_f12_shows_what_the_backend_draws(splat_session, ball, render):
    obj, scene = ball(), bpy.context.scene
    camera = scene.camera.data
    for settings in ({}, {"shift_x": 0.1, "shift_y": -0.05, "lens": 35}, {"sensor_fit": "VERTICAL", "shift_x": 0}):
        for name, value in settings.items():
            setattr(camera, name, value)
        came, truth = straight(render()), of_the_backend(splat_session, obj)
        assert came.shape == truth.shape and truth[..., 3].mean() > 0.1
        assert psnr(came, truth) > 50, settings
    scene.render.resolution_percentage, scene.render.pixel_aspect_x = 75, 1.5
    obj.matrix_world = Matrix.LocRotScale((0.2, 0.5, -0.1), Matrix.Rotation(1.0, 3, "Y"), (1.3,) * 3)
    came, truth = straight(render()), of_the_backend(splat_session, obj)
    assert came.shape == (90, 120, 4) and psnr(came, truth) > 45      # turned harmonics, in another order of sums


def test_border_and_background(splat_session, ball, render):
    ball()
    scene = bpy.context.scene
    whole = render()
    scene.render.use_border = True
    scene.render.border_min_x, scene.render.border_max_x = 0.3, 0.7
    scene.render.border_min_y, scene.render.border_max_y = 0.5, 0.9
    part = render()
    assert part.shape == whole.shape and psnr(part[12:60, 48:112], whole[12:60, 48:112]) > 45
    assert not part[:, :47].any() and not part[61:].any() and not part[:11].any()
    scene.render.use_crop_to_border = True
    crop = render()
    assert crop.shape == (48, 64, 4) and np.array_equal(crop, part[12:60, 48:112])
    scene.render.use_border, scene.render.film_transparent = False, False
    scene.world = bpy.data.worlds.new("world")
    scene.world.color = (0.2, 0.4, 0.6)
    opaque = render()
    assert (opaque[..., 3] == 1).all() and np.allclose(opaque[0, 0, :3], (0.2, 0.4, 0.6), atol=1e-4)
    solid = whole[..., 3] > 0.99
    assert solid.any() and np.abs(opaque[solid] - whole[solid]).max() < 0.02


def test_an_orthographic_camera(splat_session, ball, render):
    ball()
    camera = bpy.context.scene.camera.data
    camera.type, camera.ortho_scale = "ORTHO", 2.0
    rgba = render()
    rows, columns = np.nonzero(rgba[..., 3] > 0.5)
    assert abs(columns.max() - columns.min() + 1 - 80) <= 3        # 1 unit of 2 over 160 pixels
    assert abs(rows.mean() - 59.5) < 1 and abs(columns.mean() - 79.5) < 1
    camera.type = "PANO"
    with pytest.raises(RuntimeError, match="is Pano"):
        render()


def test_two_reconstructions_hide_each_other(splat_session, ball, render):
    red, blue = ball("red"), ball("blue", 0.0)
    blue.location = (0.0, 1.2, 0.0)
    assert covered(render(), "red") > 0.05 and covered(render(), "blue") < 0.01
    blue.location = (0.0, -1.0, 0.0)
    assert covered(render(), "red") < 0.01 and covered(render(), "blue") > 0.05
    blue.location = (0.9, 0.0, 0.0)
    both = render()
    assert covered(both[:, 60:100], "red") > 0.2 and covered(both[:, 115:], "blue") > 0.2
    red.hide_render = True
    assert covered(render(), "red") < 0.01
    red.hide_render = False
    through = bpy.data.collections.new("instanced")
    through.objects.link(red)
    bpy.context.scene.collection.objects.unlink(red)
    empty = bpy.data.objects.new("instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", through
    empty.location = (-0.9, 0, 0)
    bpy.context.scene.collection.objects.link(empty)
    assert covered(render()[:, :50], "red") > 0.2


def test_an_animation_follows_modifiers_and_the_camera(splat_session, ball, render, tmp_path):
    obj, scene = ball(), bpy.context.scene
    cast = obj.modifiers.new("cast", "DISPLACE")
    cast.mid_level, cast.strength = 0.0, 0.0
    cast.keyframe_insert("strength", frame=1)
    cast.strength = 0.4
    cast.keyframe_insert("strength", frame=2)
    scene.frame_start, scene.frame_end = 1, 2
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "OPEN_EXR", "RGBA"
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    first, second = (pixels_of(str(tmp_path / f"frame_000{n}.exr"))[..., 3] > 0.5 for n in (1, 2))
    assert 1.4 < (second.sum() / first.sum()) ** 0.5 < 2.1                # its radius went from 0.5 to 0.9


def test_splats_among_other_objects(splat_session, ball, render):
    """Rendered by Cycles: a yellow cube before, behind and inside of the ball; taken back again."""
    obj, scene = ball("blue"), bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.film_transparent = False
    scene.world = bpy.data.worlds.new("world")
    bpy.ops.mesh.primitive_cube_add(size=0.4)
    cube = bpy.context.object
    material = bpy.data.materials.new("yellow")
    tree = material.node_tree if material.node_tree else material
    if tree is material:
        material.use_nodes = True
        tree = material.node_tree
    glow = tree.nodes.new("ShaderNodeEmission")
    glow.inputs[0].default_value = (1, 1, 0, 1)
    tree.links.new(glow.outputs[0], next(n for n in tree.nodes if n.type == "OUTPUT_MATERIAL").inputs[0])
    cube.data.materials.append(material)

    def yellow(rgba):
        return (rgba[..., 0] > 0.9) & (rgba[..., 1] > 0.9) & (rgba[..., 2] < 0.1)

    assert bpy.ops.milo.composite_splats() == {"FINISHED"}
    cube.location = (0.3, -1.0, 0)
    before = render()
    assert yellow(before).mean() > 0.03 and covered(before, "blue") > 0.05
    cube.location = (0.3, 1.0, 0)
    behind = render()
    assert yellow(behind).mean() < 0.3 * yellow(before).mean() and covered(behind, "blue") > 0.08
    assert (behind[..., 3] == 1).all()                       # over the world of the scene
    cube.location = (0, 0, 0)
    assert yellow(render()).mean() < 0.002                   # through chinks between Gaussians
    cube.location = (0, -0.5, 0)                             # it looks out in front
    assert yellow(render())[50:70, 70:90].all()
    obj.location = (0.0, 0.0, 3.0)                           # edits go along
    assert covered(render(), "blue") < 0.001
    obj.location = (0.0, 0.0, 0.0)

    scene.render.use_border, scene.render.border_max_x, scene.render.resolution_percentage = True, 0.5, 50
    half = render()
    assert half.shape == (60, 80, 4) and not half[:, 41:].any() and covered(half[:, :40], "blue") > 0.05
    scene.render.use_border, scene.render.resolution_percentage = False, 100
    late = bpy.data.objects.new("late camera", scene.camera.data)
    scene.collection.objects.link(late)
    assert np.allclose(render(), (1, 0, 1, 1)) and "late camera came after" in splat_session.trouble.message
    splat_session.problem = None
    bpy.ops.milo.composite_splats()
    assert covered(render(), "blue") > 0.05
    assert len([other for other in bpy.data.scenes if other != scene]) == 1
    for engine, forward in (("BLENDER_WORKBENCH", 0.02), ("CYCLES", 0.0)):     # the ball is 1 across
        scene.render.engine = engine
        bpy.ops.milo.composite_splats()
        tree = getattr(scene, "compositing_node_group", None) or scene.node_tree
        nearer = [node for node in tree.nodes if node.label == "MILo Splats" and node.type == "MATH"]
        assert [node.inputs[1].default_value for node in nearer] == [pytest.approx(forward, abs=1e-3)]
    bpy.ops.milo.remove_composite()
    cube.location = (3, 0, 0)
    assert covered(render(), "blue") == 0 and len(bpy.data.scenes) == 1 and obj.visible_camera

    obj.visible_camera = scene.render.use_compositing = False       # so it was before: so it is after
    for _ in range(2):
        bpy.ops.milo.composite_splats()
        assert scene.render.use_compositing and not obj.visible_camera
    bpy.ops.milo.remove_composite()
    assert not scene.render.use_compositing and not obj.visible_camera


def test_an_animation_is_composited(splat_session, ball, tmp_path):
    """The scene of the splats goes along with the frames and with a camera bound to a marker."""
    obj, scene = ball("blue"), bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    obj.keyframe_insert("location", frame=1)
    obj.location.x = 0.6
    obj.keyframe_insert("location", frame=2)
    other = bpy.data.objects.new("from behind", scene.camera.data)
    other.matrix_world = Matrix.Translation((0, 3, 0)) @ Matrix.Rotation(math.pi, 4, "Z") @ Matrix.Rotation(
        math.pi / 2, 4, "X")
    scene.collection.objects.link(other)
    scene.timeline_markers.new("front", frame=1).camera = scene.camera
    scene.timeline_markers.new("behind", frame=3).camera = other
    bpy.ops.milo.composite_splats()
    scene.frame_start, scene.frame_end = 1, 3
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "OPEN_EXR", "RGBA"
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    where = [np.nonzero(pixels_of(str(tmp_path / f"frame_000{n}.exr"))[..., 3] > 0.5)[1].mean() for n in (1, 2, 3)]
    assert abs(where[0] - 79.5) < 2 and where[1] > 110 and where[2] < 50, where


def test_without_a_backend_there_is_a_message(splat_session, ball, render, milo):
    obj = ball()
    os.kill(splat_session.backend.pid, 9)
    with pytest.raises(RuntimeError, match="backend"):
        render()
    assert splat_session.wait(lambda now: now.backend.state == "stopped", 20)
    with pytest.raises(RuntimeError, match=r"not running.*Start it"):
        render()
    obj.data.attributes.remove(obj.data.attributes["rest_co"])
    with pytest.raises(RuntimeError, match="knows where it was"):
        render()
    panel = bpy.types.RENDER_PT_output
    assert "MILO_SPLATS" in panel.COMPAT_ENGINES
    milo("engine").unregister()
    assert "MILO_SPLATS" not in panel.COMPAT_ENGINES
    milo("engine").register()
