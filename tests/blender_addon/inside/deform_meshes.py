# SPDX-License-Identifier: Apache-2.0
"""Deform a mesh in all ways and save each as an animation of one frame: run by test_splats_follow.py.

    deform_meshes.py ROOM: reads ROOM/given.npz (verts and faces of a ball, bar_verts and bar_faces, similarity [4, 4],
    and for the bent bar bone_places [B, 4, 4]), writes ROOM/<case>.npz
"""

import math
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

import addon_utils  # isort: skip  (there once bpy is)

room = Path(sys.argv[1])
given = np.load(room / "given.npz")
MODULE = "bl_ext.user_default.milo"


def begin(what=""):
    """A scene with the finished mesh of job-1 and a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable(MODULE, default_set=True)
    from bl_ext.user_default.milo.scene import mesh_object, surface

    scene = bpy.context.scene
    obj = mesh_object.create("job-1", "thing", scene)
    verts, faces = given[what + "verts"], given[what + "faces"]
    mesh_object.replace(obj, verts, faces, np.zeros((len(verts), 3), np.uint8))
    surface.write_rest(obj, "job-1", scene)
    scene.milo.job = "job-1"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.matrix_world = Matrix.Translation((0.9, -7, 0)) @ Matrix.Rotation(math.pi / 2, 4, "X")
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = 192, 144
    scene.frame_start = scene.frame_end = 1
    select(obj)
    return scene, obj


def select(*objects):
    for obj in objects:
        obj.select_set(True)
    bpy.context.view_layer.objects.active = objects[0]


def save(name):
    bpy.context.view_layer.update()
    assert bpy.ops.milo.save_animation(filepath=str(room / f"{name}.npz")) == {"FINISHED"}


def modifier(kind, **settings):
    _, obj = begin()
    made = obj.modifiers.new(kind, kind)
    for key, value in settings.items():
        setattr(made, key, value)


begin()
save("rest")
modifier("SUBSURF", levels=1)
save("subsurf")
modifier("DECIMATE", ratio=0.5)
save("decimate")
modifier("SOLIDIFY", thickness=0.1)
save("solidify")
modifier("ARRAY", count=2, use_relative_offset=False, use_constant_offset=True, constant_offset_displace=(2.3, 0, 0))
save("array")

scene, obj = begin()
obj.matrix_world = Matrix(given["similarity"].tolist())
bpy.context.view_layer.update()
save("object")
bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
assert obj.matrix_world == Matrix.Identity(4)
save("applied")



def armature(scene, obj, bones):
    """An armature of (name, head, tail), unconnected, that deforms obj."""
    rig = bpy.data.objects.new("rig", bpy.data.armatures.new("rig"))
    scene.collection.objects.link(rig)
    obj.select_set(False)
    select(rig)
    bpy.ops.object.mode_set(mode="EDIT")
    for name, head, tail in bones:
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail = head, tail
    bpy.ops.object.mode_set(mode="OBJECT")
    obj.modifiers.new("rig", "ARMATURE").object = rig
    return rig


scene, obj = begin()
rig = armature(scene, obj, [("bone", (0, 0, 0), (0, 0, 1))])
obj.vertex_groups.new(name="bone").add(range(len(obj.data.vertices)), 1.0, "REPLACE")
pose = rig.pose.bones["bone"]
pose.rotation_mode = "XYZ"
bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
for frame, angle in ((1, 0), (11, 100)):
    pose.rotation_euler = (0, math.radians(angle), 0)       # about the bone, which is upright
    pose.keyframe_insert("rotation_euler", frame=frame)
scene.frame_start, scene.frame_end, scene.frame_step = 1, 11, 5
scene.frame_set(3)
save("armature")
assert scene.frame_current == 3

scene, obj = begin("bar_")
x, places = given["bar_verts"][:, 0], given["bone_places"]
centres = np.linspace(x.min(), x.max(), len(places))
names = [f"bone{number}" for number in range(len(places))]
rig = armature(scene, obj, [(name, (at, 0, 0), (at + 0.05, 0, 0)) for name, at in zip(names, centres)])
for name, at, place in zip(names, centres, places):           # each vertex is shared by the two bones beside it
    weight = np.clip(1 - np.abs(x - at) / (centres[1] - centres[0]), 0, 1)
    group = obj.vertex_groups.new(name=name)
    for vertex in np.flatnonzero(weight):
        group.add([int(vertex)], float(weight[vertex]), "REPLACE")
    rest = rig.data.bones[name].matrix_local
    rig.pose.bones[name].matrix_basis = rest.inverted() @ Matrix(place.tolist()) @ rest
save("bar")

scene, obj = begin()
bpy.ops.object.mode_set(mode="EDIT")
bpy.ops.mesh.select_all(action="DESELECT")
bpy.ops.object.mode_set(mode="OBJECT")
for face in obj.data.polygons:
    face.select = face.center.x < 0
bpy.ops.object.mode_set(mode="EDIT")
bpy.ops.mesh.delete(type="FACE")
bpy.ops.object.mode_set(mode="OBJECT")
save("half")

scene, obj = begin()
bpy.ops.object.duplicate()
bpy.context.active_object.matrix_world = Matrix.Translation((2.3, 0, 0)) @ Matrix.Rotation(1.0, 4, "X")
save("two")

scene, obj = begin()
bpy.ops.mesh.primitive_cube_add(size=0.2, location=(3, 0, 0))
obj.select_set(True)
bpy.context.view_layer.objects.active = obj
bpy.ops.object.join()
save("joined")

modifier("REMESH", voxel_size=0.2)
try:
    save("remesh")
except RuntimeError as error:
    assert "knows where it was" in str(error), error
assert not (room / "remesh.npz").exists()
print("DEFORMED", flush=True)
