# SPDX-License-Identifier: Apache-2.0
"""A mesh refresh replaces the geometry and nothing else of the user's."""

import bpy
import numpy as np
import pytest


def grid(n, height=0.0):
    """A unit square of n x n vertices: verts, faces, colours (red grows with x)."""
    y, x = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n))
    verts = np.stack([x.ravel(), y.ravel(), np.full(n * n, height)], 1).astype(np.float32)
    at = np.arange(n * n, dtype=np.int32).reshape(n, n)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    colors = np.zeros((n * n, 3), np.uint8)
    colors[:, 0] = np.rint(255 * verts[:, 0])
    return verts, faces, colors


@pytest.fixture
def shown(milo):
    """(mesh_object module, an object that shows a coarse grid)."""
    module = milo("scene.mesh_object")
    obj = module.create("job-1", "thing", bpy.context.scene)
    module.replace(obj, *grid(6))
    return module, obj


def weights_of(obj, name):
    group = obj.vertex_groups[name].index
    return np.array([sum(e.weight for e in v.groups if e.group == group) for v in obj.data.vertices])


def test_geometry_and_colours_arrive(shown):
    module, obj = shown
    verts, faces, colors = grid(40, 0.5)
    module.replace(obj, verts, faces, colors)
    mesh = obj.data
    at = np.empty((1600, 3), np.float32)
    mesh.vertices.foreach_get("co", at.ravel())
    corners = np.empty(faces.size, np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    assert (at == verts).all() and (corners.reshape(-1, 3) == faces).all()
    assert len(mesh.edges) == 2 * 40 * 39 + 39 * 39
    assert all(p.normal.z > 0.99 for p in mesh.polygons) and all(p.use_smooth for p in mesh.polygons)
    assert not mesh.validate()
    srgb = np.empty((1600, 4), np.float32)
    mesh.attributes["Color"].data.foreach_get("color_srgb", srgb.ravel())
    assert np.abs(255 * srgb[:, :3] - colors).max() < 0.51 and (srgb[:, 3] == 1).all()
    assert mesh.color_attributes.active_color.name == "Color"


def test_the_users_work_stays(shown):
    module, obj = shown
    scene = bpy.context.scene
    parent = bpy.data.objects.new("parent", None)
    rig = bpy.data.objects.new("rig", bpy.data.armatures.new("rig"))
    for other in (parent, rig):
        scene.collection.objects.link(other)
    obj.location, obj.rotation_euler, obj.scale = (1, 2, 3), (0.1, 0.2, 0.3), (2, 2, 2)
    obj.parent = parent
    obj.modifiers.new("bend", "SIMPLE_DEFORM").angle = 0.3
    obj.modifiers.new("rig", "ARMATURE").object = rig
    obj.constraints.new("COPY_LOCATION").enabled = False
    obj["note"] = "mine"
    obj.data["mesh note"] = 7
    mine = bpy.data.materials.new("mine")
    obj.data.materials.clear()
    obj.data.materials.append(mine)
    data, matrix = obj.data, obj.matrix_basis.copy()

    module.replace(obj, *grid(15))
    assert obj.data == data and len(data.vertices) == 225
    assert obj.matrix_basis == matrix and obj.parent == parent
    assert [m.name for m in obj.modifiers] == ["bend", "rig"] and obj.modifiers["rig"].object == rig
    assert np.isclose(obj.modifiers["bend"].angle, 0.3) and len(obj.constraints) == 1
    assert obj["note"] == "mine" and data["mesh note"] == 7
    assert list(data.materials) == [mine]


def test_no_material_is_a_choice_too(shown):
    module, obj = shown
    assert [m.name for m in obj.data.materials] == ["MILo vertex colours"]
    obj.data.materials.clear()
    module.replace(obj, *grid(5))
    assert len(obj.data.materials) == 0


def test_vertex_groups_are_carried_over(shown):
    module, obj = shown
    left, ramp = obj.vertex_groups.new(name="left"), obj.vertex_groups.new(name="ramp")
    obj.vertex_groups.new(name="empty")
    left.lock_weight = True
    obj.vertex_groups.active_index = 1
    for v in obj.data.vertices:
        ramp.add([v.index], v.co.x, "REPLACE")
        if v.co.x < 0.25:
            left.add([v.index], 0.8, "REPLACE")
    for n in (31, 9):
        module.replace(obj, *grid(n, 0.02))
        assert [g.name for g in obj.vertex_groups] == ["left", "ramp", "empty"]
        assert [g.lock_weight for g in obj.vertex_groups] == [True, False, False]
        assert obj.vertex_groups.active.name == "ramp"
        x = grid(n)[0][:, 0]
        assert np.abs(weights_of(obj, "ramp") - x).max() < 2e-3
        assert np.allclose(weights_of(obj, "left")[x < 0.2], 0.8, atol=1e-3)
        assert (weights_of(obj, "left")[x > 0.5] == 0).all() and (weights_of(obj, "empty") == 0).all()


def test_material_slots_and_flat_shading_are_carried_over(shown):
    module, obj = shown
    obj.data.materials.append(bpy.data.materials.new("second"))
    for polygon in obj.data.polygons:
        polygon.material_index = int(polygon.center.x > 0.6)
    obj.data.shade_flat()
    module.replace(obj, *grid(21))
    for polygon in obj.data.polygons:
        assert polygon.material_index == int(polygon.center.x > 0.6)
        assert not polygon.use_smooth


def test_what_lies_on_a_mesh_is_read_in_slices(shown, milo):
    """A step whose time is over reads no more than one slice."""
    module, obj = shown
    carry = milo("scene.carry")
    module.replace(obj, *grid(40))
    ramp = obj.vertex_groups.new(name="ramp")
    for v in obj.data.vertices:
        ramp.add([v.index], v.co.x, "REPLACE")
    taking, steps = carry.Taking(obj), 0
    while (surface := taking.step(obj, 0.0)) is None:
        steps += 1
    assert steps == -(-1600 // carry.SLICE) >= 3
    rows = np.concatenate(surface.weights)
    assert (rows[:, 0] == np.arange(1600)).all() and np.allclose(rows[:, 2], grid(40)[0][:, 0])
    assert (surface.faces == grid(40)[1]).all()


def test_material_slots_of_polygons_are_carried_over(shown):
    """Polygons with more than three corners, as an artist may have made them."""
    module, obj = shown
    obj.data.materials.append(bpy.data.materials.new("second"))
    obj.data.clear_geometry()
    x = [0, 0.5, 1]
    obj.data.from_pydata([(i, j, 0) for j in (0, 1) for i in x], [], [(0, 1, 4, 3), (1, 2, 5, 4)])
    obj.data.polygons[1].material_index = 1
    module.replace(obj, *grid(21))
    assert all(polygon.material_index == int(polygon.center.x > 0.5) for polygon in obj.data.polygons)


@pytest.mark.parametrize("mode", ["EDIT", "SCULPT", "WEIGHT_PAINT", "VERTEX_PAINT", "TEXTURE_PAINT"])
def test_waits_while_the_user_works_on_it(shown, mode):
    module, obj = shown
    assert module.why_wait(obj) == ""
    twin = bpy.data.objects.new("twin", obj.data)   # the same mesh, seen through another object
    bpy.context.scene.collection.objects.link(twin)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode=mode)
    assert module.why_wait(obj).startswith("Leave") and module.why_wait(twin).startswith("Leave")
    bpy.ops.object.mode_set(mode="OBJECT")
    assert module.why_wait(obj) == ""


def test_waits_for_shape_keys(shown):
    module, obj = shown
    obj.shape_key_add(name="Basis")
    assert "shape keys" in module.why_wait(obj)


def test_an_empty_mesh_is_shown_as_it_is(shown):
    module, obj = shown
    module.replace(obj, np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), np.empty((0, 3), np.uint8))
    assert len(obj.data.vertices) == 0
    module.replace(obj, *grid(4))
    assert len(obj.data.vertices) == 16


def test_a_job_finds_its_object(shown):
    module, obj = shown
    obj.name = "renamed"
    assert module.find("job-1") == obj and module.find("job-2") is None and module.find("") is None


def test_nearest_places_on_a_surface(milo):
    """As near as Blender's own tree finds them for points next to the surface, as those of a refresh are; nearly so
    for points far away."""
    from mathutils.bvhtree import BVHTree
    random = np.random.default_rng(1)
    verts, faces, _ = grid(60)
    verts[:, 2] = 0.1 * np.sin(7 * verts[:, 0])
    points = random.uniform(-0.2, 1.2, (800, 3)).astype(np.float32)
    points[:400, 2] = 0.1 * np.sin(7 * points[:400, 0]) + 0.003
    points[-50:] = 30 * random.normal(size=(50, 3))
    face, shares = milo("scene.nearest").on_surface(verts, faces, points)
    assert (shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=1e-6)
    there = np.einsum("pk,pkx->px", shares, verts[faces[face]])
    tree = BVHTree.FromPolygons(verts.tolist(), faces.tolist())
    expected = np.array([tree.find_nearest(point)[3] for point in points.tolist()])
    distance = np.linalg.norm(there - points, axis=1)
    assert (distance < 1.01 * expected + 1e-5)[:400].all()
    assert (distance < 1.1 * expected).mean() > 0.97 and (distance < 1.5 * expected).all()


def test_copies_keep_their_mesh(shown, tmp_path):
    """Shift+D makes an object that is the user's own, in this file and after it was opened again."""
    module, obj = shown
    bpy.ops.object.select_all(action="DESELECT")
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    obj.name, copy.name = "zzz", "aaa"        # whichever comes first by name
    assert copy != obj and module.find("job-1") == obj
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert module.find("job-1") == bpy.data.objects["zzz"]
    bpy.data.objects.remove(bpy.data.objects["zzz"])
    assert module.find("job-1") is None and len(bpy.data.objects["aaa"].data.vertices) == 36


def test_a_recovered_file_has_one_object_for_a_job(shown, milo, tmp_path):
    """An automatic save calls no handlers: a copy in it looks like the original."""
    module, obj = shown
    heartbeat = milo("heartbeat")
    copy = obj.copy()
    copy.data = obj.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    bpy.app.handlers.save_pre.remove(heartbeat.on_save)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "auto.blend"), copy=True)
    bpy.app.handlers.save_pre.append(heartbeat.on_save)
    names = obj.name, copy.name
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "auto.blend"))
    assert [bpy.data.objects[name].milo.job for name in names] == ["job-1", ""]
    assert module.find("job-1") == bpy.data.objects[names[0]]


def test_copies_are_let_go_of_but_not_what_undo_brings_back(shown, milo):
    module, obj = shown
    name = obj.name
    bpy.ops.ed.undo_push(message="made")
    bpy.ops.object.select_all(action="DESELECT")
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.duplicate()
    bpy.ops.ed.undo_push(message="duplicated")
    copy = bpy.context.view_layer.objects.active.name
    assert milo("heartbeat").look_for_copies() > 0
    assert bpy.data.objects[copy].milo.job == "" and bpy.data.objects[name].milo.job == "job-1"
    bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.ed.undo_push(message="deleted")
    bpy.ops.ed.undo()
    milo("heartbeat").look_for_copies()
    assert module.find("job-1") == bpy.data.objects[name]


def test_collections_stay(shown):
    module, obj = shown
    mine = bpy.data.collections.new("mine")
    bpy.context.scene.collection.children.link(mine)
    mine.objects.link(obj)
    bpy.context.scene.collection.objects.unlink(obj)
    module.replace(obj, *grid(9))
    assert list(obj.users_collection) == [mine]
