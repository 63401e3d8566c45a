# SPDX-License-Identifier: Apache-2.0
"""Bones fitted to a mesh, automatic weights on it, and motions, in Blender's own armatures."""

import math
import time

import bpy
import numpy as np
import pytest
from mathutils import Matrix


def tube(across=24, along=60, length=4.0, radius=0.3):
    """A closed tube along z from 0: verts, faces."""
    angle = 2 * np.pi * np.arange(across) / across
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
    z = np.linspace(0, length, along + 1)
    rings = [np.concatenate([ring, np.full((across, 1), height)], 1) for height in z]
    verts = np.concatenate([*rings, [[0, 0, 0], [0, 0, length]]])
    faces = []
    for k in range(across):
        n = (k + 1) % across
        for i in range(along):
            a, b, c, d = i * across + k, i * across + n, (i + 1) * across + n, (i + 1) * across + k
            faces += [(a, b, c), (a, c, d)]
        faces += [(len(verts) - 2, n, k), (len(verts) - 1, along * across + k, along * across + n)]
    return verts.astype(np.float32), np.array(faces, np.int32)


@pytest.fixture
def make(milo):
    """make(verts, faces): a mesh object of a job, active."""
    def made(verts, faces, job="job-1"):
        module = milo("scene.mesh_object")
        obj = module.find(job) or module.create(job, "thing", bpy.context.scene)
        module.replace(obj, np.float32(verts), np.int32(faces), np.zeros((len(verts), 3), np.uint8))
        bpy.context.scene.milo.job = job
        activate(obj)
        return obj
    return made


def activate(obj):
    for other in bpy.context.selected_objects:
        other.select_set(False)
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()


def posed(obj):
    """Where the vertices are now, in the world."""
    bpy.context.view_layer.update()
    seen = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array([seen.matrix_world @ vertex.co for vertex in seen.data.vertices])


def weights_of(obj):
    weights = np.zeros((len(obj.data.vertices), len(obj.vertex_groups)))
    for vertex in obj.data.vertices:
        for entry in vertex.groups:
            weights[vertex.index, entry.group] = entry.weight
    return weights


def points_of(obj, name):
    values = np.empty(3 * len(obj.data.vertices), np.float32)
    obj.data.attributes[name].data.foreach_get("vector", values)
    return values.reshape(-1, 3)


def bend(rig, degrees=15.0):
    for bone in rig.pose.bones:
        bone.matrix_basis = Matrix.Rotation(math.radians(degrees), 4, "X")


def rigged_tube(make, bones=4, **shape):
    obj = make(*tube(**shape))
    assert bpy.ops.milo.add_armature(kind="CHAIN", bones=bones) == {"FINISHED"}
    assert bpy.ops.milo.bind() == {"FINISHED"}
    return obj, obj.modifiers[0].object


def test_a_chain_runs_through_the_middle(make):
    """A quarter of a ring, moved and turned by its object: the joints lie on the circle, not on the chord."""
    verts, faces = tube(length=1.0, radius=0.2)
    angle = verts[:, 2] * math.pi / 2
    ring = np.stack([(2 + verts[:, 0]) * np.sin(angle), verts[:, 1], (2 + verts[:, 0]) * np.cos(angle)], 1)
    obj = make(ring, faces)
    obj.matrix_world = place = Matrix.Translation((3, 1, -2)) @ Matrix.Rotation(0.7, 4, "Z")
    bpy.ops.milo.add_armature(kind="CHAIN", bones=7)
    rig = bpy.context.active_object
    assert rig.type == "ARMATURE" and len(rig.data.bones) == 7
    joints = np.array([place.inverted() @ rig.matrix_world @ bone.tail_local for bone in rig.data.bones[:-1]])
    assert np.abs(np.linalg.norm(joints[:, [0, 2]], axis=1) - 2).max() < 0.15 and np.abs(joints[:, 1]).max() < 0.02
    for bone, parent in zip(rig.data.bones[1:], rig.data.bones):
        assert bone.parent == parent and bone.use_connect


def test_a_chain_along_an_axis(make):
    make(*tube())
    bpy.ops.milo.add_armature(kind="CHAIN", bones=2, axis="X")
    bones = bpy.context.active_object.data.bones
    assert [(b.tail_local - b.head_local).normalized().x for b in bones] == pytest.approx([1, 1], abs=1e-3)
    assert bones[0].length + bones[1].length == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("kind", ["BIPED", "QUADRUPED"])
@pytest.mark.parametrize("facing", ["AUTO", "+X"])
def test_templates_fill_the_bounding_box(make, kind, facing):
    """Left is left of where the body looks, both sides mirror each other, and the ends reach the sides."""
    verts, faces = tube(across=8, along=4)
    size = np.float32([1.7, 0.5, 1.8] if (kind == "BIPED") == (facing == "AUTO") else [0.6, 1.6, 1.1])
    box = (verts - verts.min(0)) / np.ptp(verts, axis=0) * size + np.float32([2, 3, 0.1])
    make(box, faces)
    bpy.ops.milo.add_armature(kind=kind, facing=facing)
    rig = bpy.context.active_object
    bpy.context.view_layer.update()
    heads, tails = ({b.name: np.array(rig.matrix_world @ getattr(b, end)) for b in rig.data.bones}
                    for end in ("head_local", "tail_local"))
    points = np.array([*heads.values(), *tails.values()])
    low, high = box.min(0), box.max(0)
    assert (points > low - 0.05 * size).all() and (points < high + 0.05 * size).all()
    forward = np.array([0, -1, 0] if facing == "AUTO" else [1, 0, 0])
    left = np.cross((0, 0, 1), forward)
    for way in (left, -left, forward, (0, 0, 1), (0, 0, -1)):
        assert (points @ way).max() > (box @ way).max() - 0.3 * (size @ np.abs(way)), way
    middle = (low + high) / 2
    for name, head in heads.items():
        if name.endswith(".L"):
            other = heads[name[:-2] + ".R"]
            assert (head - middle) @ left > 0
            assert np.allclose(head - other, ((head - other) @ left) * left, atol=1e-5)
    assert (tails["foot.L"] - heads["foot.L"]) @ forward > 0
    assert sum(bone.parent is None for bone in rig.data.bones) == 1


def test_bound_by_bone_heat(make):
    obj, rig = rigged_tube(make)
    weights = weights_of(obj)
    assert np.abs(weights.sum(1) - 1).max() < 0.005 and (weights > 0).sum(1).max() <= 4
    z = np.array([vertex.co.z for vertex in obj.data.vertices])
    for k in range(4):                                             # each bone has the middle of its own quarter
        assert (weights[np.abs(z - k - 0.5) < 0.1, k] > 0.8).all()
    spread = [np.ptp(weights[np.abs(z - height) < 1e-3], axis=0).max() for height in np.unique(z)]
    assert max(spread) < 0.15                                      # and the same all around
    assert obj.parent == rig and np.allclose(posed(obj), [vertex.co for vertex in obj.data.vertices], atol=1e-5)
    rig.pose.bones[2].matrix_basis = Matrix.Rotation(1.0, 4, "X")
    moved = np.linalg.norm(posed(obj) - [vertex.co for vertex in obj.data.vertices], axis=1)
    assert moved[z < 1.2].max() < 0.02 and moved[z > 3].min() > 0.5


def test_a_scan_is_bound_as_the_body_that_it_stands_for(make, milo):
    """Open below, with a shell inside that keeps the bones out of sight, and a flap below."""
    verts, faces = tube()
    open_below = faces[(verts[faces][:, :, 2] > 0.01).any(axis=1)]
    inner = verts * np.float32([0.8, 0.8, 0.97])
    flap = np.float32([[0, 0, -0.5], [0.02, 0, -0.5], [0, 0, 0.2]])
    count = len(verts)
    obj = make(np.concatenate([verts, inner, flap]), np.concatenate(
        [open_below, open_below[:, ::-1] + count, np.int32([[0, 1, 2]]) + 2 * count]))
    body = milo("scene.rig_solid").solid(np.array([v.co for v in obj.data.vertices]), np.concatenate(
        [open_below, open_below[:, ::-1] + count]))
    assert body.full.sum() * body.cell**3 == pytest.approx(math.pi * 0.3**2 * 4, rel=0.25)
    bpy.ops.milo.add_armature(kind="CHAIN", bones=4)
    bones = bpy.context.active_object.data.bones
    assert bpy.context.active_object.matrix_world.translation.z + bones[0].head_local.z == pytest.approx(0, abs=0.1)
    bpy.ops.milo.bind()
    weights, z = weights_of(obj)[:count], verts[:, 2]
    for k in range(4):
        assert (weights[np.abs(z - k - 0.5) < 0.1, k] > 0.7).all()


def test_a_large_mesh_with_floaters_and_holes(make):
    """Bone heat alone finds no solution there, or takes minutes."""
    verts, faces = tube(across=200, along=250)
    ball, ball_faces = tube(4, 3, 0.05, 0.03)
    holes = faces[np.arange(len(faces)) % 97 > 1]
    all_verts = np.concatenate([verts, ball + np.float32([0.45, 0, 3.5])])
    obj = make(all_verts, np.concatenate([holes, ball_faces + len(verts)]))
    start = time.perf_counter()
    bpy.ops.milo.add_armature(kind="CHAIN", bones=4)
    assert bpy.ops.milo.bind() == {"FINISHED"}
    assert time.perf_counter() - start < 20 and len(obj.data.polygons) > 95_000
    weights = weights_of(obj)
    assert np.abs(weights.sum(1) - 1).max() < 0.005
    assert (weights[len(verts):, 3] > 0.5).all()
    assert not [o for o in bpy.data.objects if o not in (obj, obj.parent)] and len(bpy.data.meshes) == 1


def test_bones_that_bone_heat_cannot_use(make, milo):
    """Far outside of the mesh: the nearest bones have it, and that is said."""
    obj = make(*tube())
    bpy.ops.milo.add_armature(kind="CHAIN", bones=2)
    rig = bpy.context.active_object
    rig.location.x = 50
    bpy.context.view_layer.update()
    share = milo("scene.rig_weights").bind(bpy.context, obj, rig)
    weights = weights_of(obj)
    assert np.abs(weights.sum(1) - 1).max() < 0.005
    assert share > 0.99 or weights.min(1).max() > 0.1
    for bone in rig.data.bones:
        bone.use_deform = False
    with pytest.raises(RuntimeError, match="no bone that deforms"):
        bpy.ops.milo.bind()


@pytest.fixture
def levels(milo, tmp_path):
    """Three levels of an asset, tubes, the finest moved by the user and the others hidden."""
    image = bpy.data.images.new("color", 4, 4)
    image.filepath_raw, image.file_format = str(tmp_path / "color.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)
    color = (tmp_path / "color.png").read_bytes()
    place = np.eye(4, dtype=np.float32)
    place[:3, 3] = (0, 0, -1)
    asset, scene = milo("scene.asset"), bpy.context.scene
    scene.milo.job = "job-1"
    objects = []
    for level, (across, along) in enumerate(((24, 60), (12, 30), (8, 12))):
        verts, faces = tube(across, along)
        mesh = milo("protocol.assets").AssetMesh(
            verts, np.tile(np.float32([0, 0, 1]), (len(verts), 1)), faces, np.zeros((3 * len(faces), 2), np.float32),
            np.zeros((len(verts), 3), np.uint8), place)
        objects.append(asset.build(scene, "job-1", "tube", asset.Level(level, mesh, color, None)))
    objects[0].location, objects[0].rotation_euler, objects[0].scale = (3, 0, 1), (0.3, 0.2, 0.1), (2, 2, 2)
    asset.show_only_finest(scene, "job-1")
    return objects


def test_all_levels_of_an_asset_are_bound(levels):
    """The coarser ones bend with the finest, whichever is active; again after the bones have changed."""
    finest, *coarser = levels
    copy = bpy.data.objects.new("mine", coarser[0].data.copy())        # not of the asset
    bpy.context.scene.collection.objects.link(copy)
    activate(finest)
    assert bpy.ops.milo.add_armature(kind="CHAIN", bones=4) == {"FINISHED"}
    rig = finest.modifiers[0].object
    for active in (rig, coarser[1]):
        if active != rig:
            active.hide_set(False)
        activate(active)
        assert bpy.ops.milo.bind() == {"FINISHED"}
        for obj in levels:
            assert [m.object for m in obj.modifiers if m.type == "ARMATURE"] == [rig] and obj.parent == rig
            assert len(obj.vertex_groups) == 4
            weights = weights_of(obj)
            assert np.abs(weights.sum(1) - 1).max() < 0.01 and (weights > 0).sum(1).max() <= 4
    assert not copy.modifiers and not copy.vertex_groups
    bend(rig)
    for obj in levels:
        obj.hide_set(False)
    shape, at_rest = posed(finest), np.array([finest.matrix_world @ vertex.co for vertex in finest.data.vertices])
    assert np.linalg.norm(shape - at_rest, axis=1).max() > 1
    for obj in coarser:                            # their vertices are among those of the finest
        same = [int(np.linalg.norm(tube()[0] - vert, axis=1).argmin()) for vert in points_of(obj, "rest_co")]
        assert np.linalg.norm(posed(obj) - shape[same], axis=1).max() < 0.02


def test_weights_and_modifiers_survive_a_refresh(make):
    """A finer mesh of the same job bends as the one before, with all that the user set."""
    obj, rig = rigged_tube(make)
    obj.modifiers.new("more", "SUBSURF").show_viewport = False
    obj.vertex_groups.new(name="mine").add(range(len(obj.data.vertices)), 0.5, "REPLACE")
    bend(rig)
    before = posed(obj)
    kept = [modifier.name for modifier in obj.modifiers]
    verts, faces = tube(across=48, along=120)
    make(verts, faces)
    assert [modifier.name for modifier in obj.modifiers] == kept and obj.modifiers[0].object == rig == obj.parent
    after = posed(obj)
    assert len(after) > 3 * len(before)
    coarse = tube()[0]
    same = [int(np.linalg.norm(verts - vert, axis=1).argmin()) for vert in coarse]
    assert np.linalg.norm(after[same] - before, axis=1).max() < 0.01
    weights = weights_of(obj)
    assert np.allclose(weights[:, :4].sum(1), 1, atol=0.01) and np.allclose(weights[:, 4], 0.5, atol=0.01)


def test_the_test_pose_goes_on_and_off(make):
    obj, rig = rigged_tube(make)
    rig.pose.bones[0].matrix_basis = mine = Matrix.Rotation(0.2, 4, "Y")
    before = posed(obj)
    assert bpy.ops.milo.test_pose() == {"FINISHED"}
    assert np.abs(posed(obj) - before).max() > 0.5
    bpy.ops.milo.test_pose()
    assert np.allclose(posed(obj), before, atol=1e-5) and np.allclose(rig.pose.bones[0].matrix_basis, mine, atol=1e-6)


@pytest.mark.parametrize("kind", ["CHAIN", "BIPED", "QUADRUPED"])
def test_a_wave(make, kind):
    """It moves, closes its circle, and an action that was there stays in the file."""
    make(*tube())
    bpy.ops.milo.add_armature(kind=kind)
    rig = bpy.context.active_object
    first = next(iter(rig.pose.bones))
    first.keyframe_insert("location", frame=1)
    mine = rig.animation_data.action
    assert bpy.ops.milo.add_wave(frames=40, cycles=2) == {"FINISHED"}
    assert rig.animation_data.action != mine and mine.use_fake_user

    def tips(frame):
        bpy.context.scene.frame_set(frame)
        bpy.context.view_layer.update()
        return np.array([bone.tail for bone in rig.pose.bones])
    assert np.abs(tips(6) - tips(16)).max() > 0.2
    for frame in (3, 17):
        assert np.allclose(tips(frame), tips(frame + 20), atol=1e-3)   # twice in 40 frames
        assert np.allclose(tips(frame), tips(frame + 40), atol=1e-5)   # and on and on


def test_a_turntable(make):
    """The whole object is seen from all sides, at a constant speed; again replaces the camera."""
    obj = make(*tube())
    obj.location = (5, -3, 1)
    scene = bpy.context.scene
    for count in (20, 16):
        if scene.camera:
            mine = bpy.data.objects.new("mine", None)
            mine.parent = scene.camera.parent
            scene.collection.objects.link(mine)
        assert bpy.ops.milo.add_turntable(frames=count) == {"FINISHED"}
    assert "mine" in scene.objects and scene.frame_end == 16 and sum(o.type == "CAMERA" for o in scene.objects) == 1
    from bpy_extras.object_utils import world_to_camera_view
    places, views = [], []
    for frame in range(1, 18):
        scene.frame_set(frame)
        places.append(np.array(scene.camera.matrix_world.translation))
        for vertex in list(obj.data.vertices)[::7]:
            views.append(world_to_camera_view(scene, scene.camera, obj.matrix_world @ vertex.co))
            assert 0 < views[-1].x < 1 and 0 < views[-1].y < 1 and views[-1].z > scene.camera.data.clip_start
    assert max(view.y for view in views) - min(view.y for view in views) > 0.75   # and it fills the picture
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert np.allclose(steps, steps[0], rtol=1e-3) and np.allclose(places[0], places[16], atol=1e-4)
    assert len(bpy.data.cameras) == 1


def test_undo(make):
    """Each step is taken back alone."""
    make(*tube())
    bpy.ops.ed.undo_push(message="mesh")
    bpy.ops.milo.add_armature(kind="CHAIN", bones=3)
    bpy.ops.ed.undo_push(message="armature")
    bpy.ops.milo.bind()
    bpy.ops.ed.undo_push(message="bound")
    bpy.ops.milo.test_pose()
    bpy.ops.ed.undo_push(message="posed")
    bpy.ops.ed.undo()
    assert "milo_pose" not in bpy.data.objects["thing Rig"]
    bpy.ops.ed.undo()
    assert not bpy.data.objects["thing"].vertex_groups and bpy.data.objects["thing Rig"]
    bpy.ops.ed.undo()
    assert "thing Rig" not in bpy.data.objects and not bpy.data.objects["thing"].modifiers


def test_buttons_say_why_they_are_grey(make, milo):
    operators = bpy.ops.milo
    assert not operators.add_armature.poll() and not operators.add_turntable.poll()
    obj = make(*tube())
    assert operators.add_armature.poll() and not operators.bind.poll() and not operators.test_pose.poll()
    bpy.ops.milo.add_armature()
    assert operators.bind.poll() and not operators.add_armature.poll()   # the armature is active now
    rule = milo("operators.rig").MILO_OT_add_armature.why_not(bpy.context, obj)
    assert rule == "thing has an armature already: delete that first"
    bpy.ops.object.mode_set(mode="EDIT")
    assert not operators.bind.poll()
    bpy.ops.object.mode_set(mode="POSE")
    assert operators.test_pose.poll() and not operators.bind.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.data.objects.remove(bpy.context.active_object)
    assert operators.add_armature.poll()                                 # the reconstruction's mesh


def test_nothing_is_left_when_binding_fails(make, milo, monkeypatch):
    obj, armature = rigged_tube(make)
    weights = milo("scene.rig_weights")
    before = len(bpy.data.objects), len(bpy.data.meshes)

    def fail(*_):
        raise MemoryError
    monkeypatch.setattr(weights, "without_islands", fail)
    with pytest.raises(MemoryError):
        weights.bind(bpy.context, obj, armature)
    assert (len(bpy.data.objects), len(bpy.data.meshes)) == before
