# SPDX-License-Identifier: Apache-2.0
"""Sparse points of an alignment: shown, selected to set the scale, cropped to the region of interest."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

POINTS = np.random.default_rng(2).uniform(-1, 1, (500, 3)).astype(np.float32)


def alignment(points=POINTS, **about):
    colors = np.arange(3 * len(points)).reshape(-1, 3).astype(np.uint8)
    return SimpleNamespace(cameras=(), photos=12, models=(7,), points=points, colors=colors, **about)


@pytest.fixture
def solved(milo):
    return milo("scene.solved")


def shown(obj):
    """Positions [P, 3] in the world and colours [P, 3] of the point cloud that the viewport draws."""
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    cloud = evaluated.data if evaluated.type == "POINTCLOUD" else None
    geometry = evaluated.evaluated_geometry() if hasattr(evaluated, "evaluated_geometry") else None
    cloud = geometry.pointcloud if geometry else cloud
    if cloud is None:                                  # before 4.5 only instances tell
        graph = bpy.context.evaluated_depsgraph_get()
        cloud = next(each.object.data for each in graph.object_instances if each.object.type == "POINTCLOUD")
    at = np.empty(3 * len(cloud.points), np.float32)
    cloud.points.foreach_get("co", at)
    radius = np.empty(len(cloud.points), np.float32)
    cloud.points.foreach_get("radius", radius)
    assert np.allclose(radius, 0.009, rtol=0.1) and [m.name for m in cloud.materials] == ["MILo point colours"]
    world = np.array(obj.matrix_world)
    return at.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def test_points_are_a_cloud_where_python_can_make_one(solved):
    scene = bpy.context.scene
    solved.build(scene, "walk", alignment(), Path())
    obj = solved.points_of(scene)
    assert obj.type == ("POINTCLOUD" if bpy.app.version >= (5, 2) else "MESH")
    assert np.allclose(shown(obj), POINTS)
    points, colors = solved.sparse_points(scene)
    assert np.allclose(points, POINTS) and np.array_equal(colors, alignment().colors)
    solved.build(scene, "again", alignment(np.empty((0, 3), np.float32)), Path())
    assert solved.sparse_points(scene) == (None, None) and len(bpy.data.node_groups) == 1   # the first are gone
    assert [obj for obj in bpy.data.objects if obj.type == "EMPTY"] == [solved.root_of(scene)]


def test_points_show_their_colours_without_any_light(solved, tmp_path):
    scene = bpy.context.scene
    points = np.array([[0, 0, 0], [0.01, 0, 0], [50, 0, 0]], np.float32)
    solved.build(scene, "walk", SimpleNamespace(cameras=(), photos=1, models=(1,), points=points,
                                                colors=np.full((3, 3), (200, 100, 50), np.uint8)), Path())
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale, camera.location.z = "ORTHO", 0.1, 5
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine, scene.view_settings.view_transform = camera, "CYCLES", "Standard"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.filepath = str(tmp_path / "points.png")
    bpy.ops.render.render(write_still=True)
    middle = np.array(bpy.data.images.load(scene.render.filepath).pixels).reshape(8, 8, 4)[4, 4, :3]
    assert np.allclose(255 * middle, (200, 100, 50), atol=3)


def test_what_hangs_on_the_cameras_keeps_its_place(solved):
    """Aligned again, the Empty that the user's own object hangs on stays."""
    scene = bpy.context.scene
    solved.build(scene, "walk", alignment(), Path())
    root, mine = solved.root_of(scene), bpy.data.objects.new("mine", None)
    scene.collection.objects.link(mine)
    root.location, mine.parent = (1, 2, 3), root
    solved.build(scene, "again", alignment(), Path())
    bpy.context.view_layer.update()
    assert mine.parent == root and tuple(mine.matrix_world.translation) == (1, 2, 3)
    assert root.name in scene.collection.objects and solved.root_of(scene) != root


def test_the_region_hides_what_lies_outside(solved):
    """Wherever the box and the points are, however they are turned and scaled: as the backend will crop."""
    scene = bpy.context.scene
    solved.build(scene, "walk", alignment(), Path())
    root, obj = solved.root_of(scene), solved.points_of(scene)
    root.location, root.rotation_euler, root.scale = (1, 2, 3), (0.3, 0.2, 0.1), (2, 2, 2)
    bpy.ops.milo.add_region()
    box = scene.milo.region
    box.location, box.rotation_euler, box.scale = (1.5, 2.2, 3.1), (0.1, 0.7, -0.2), (1.0, 1.6, 0.8)
    for size in (1.0, 0.6):
        box.empty_display_size = size
        bpy.context.view_layer.update()
        world, _ = solved.sparse_points(scene)
        matrix = np.array(box.matrix_world)
        local = (world - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
        inside = world[(np.abs(local) <= size).all(1)]
        assert 5 < len(inside) < 450
        assert np.allclose(np.sort(shown(obj), 0), np.sort(inside, 0), atol=1e-4)
    scene.milo.crop_preview = False
    bpy.context.view_layer.update()
    assert len(shown(obj)) == 500
    scene.milo.crop_preview = True
    bpy.context.view_layer.update()
    assert len(shown(obj)) == len(inside)
    assert len(solved.sparse_points(scene)[0]) == 500                     # a reconstruction starts from all of them
    scene.milo.region = None
    bpy.context.view_layer.update()
    assert len(shown(obj)) == 500

    scene.milo.region, box.location = box, (0, 0, 0)
    solved.build(scene, "again", alignment(), Path())                     # aligned again: still cropped
    bpy.context.view_layer.update()
    assert 5 < len(shown(solved.points_of(scene))) < 450


def test_two_points_of_the_cloud_set_the_scale(solved):
    scene = bpy.context.scene
    with pytest.raises(RuntimeError, match="Align photos first"):
        bpy.ops.milo.set_scale(distance=1.0)
    solved.build(scene, "cloud", alignment(np.array([[0, 0, 0], [9, 9, 9], [0, 3, 4]], np.float32)), Path())
    obj = solved.points_of(scene)
    bpy.context.view_layer.objects.active = obj
    with pytest.raises(RuntimeError, match="Select two of the sparse points"):
        bpy.ops.milo.set_scale(distance=1.0)
    if obj.type == "MESH":
        for i, vertex in enumerate(obj.data.vertices):
            vertex.select = i != 1
    else:
        obj.data.attributes.new(".selection", "BOOLEAN", "POINT")
        obj.data.attributes[".selection"].data.foreach_set("value", [True, False, True])
    bpy.ops.object.mode_set(mode="EDIT")
    assert solved.measured(bpy.context) == pytest.approx(5.0)
    assert bpy.ops.milo.set_scale(distance=2.5) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert solved.root_of(scene).scale[0] == pytest.approx(0.5)
    assert solved.measured(bpy.context) == pytest.approx(2.5)
    bpy.ops.object.mode_set(mode="OBJECT")


def test_parts_that_could_not_be_joined_are_told(solved):
    from check_photos import draw
    scene = bpy.context.scene
    scene.milo.source = "PHOTOS"
    from bl_ext.user_default.milo.panels.main import MILO_PT_main
    for models, told in (((7,), False), ((7, 3, 2), True)):
        solution = alignment()
        solution.models = models
        solved.build(scene, "walk", solution, Path())
        said = " ".join(draw(MILO_PT_main))
        assert "0 of 12 photos" in said and ("(7 + 3 + 2)" in said) == told
