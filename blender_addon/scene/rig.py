# SPDX-License-Identifier: GPL-3.0-or-later
"""The armature of a mesh: made from bones, found again through the mesh's Armature modifier."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix, Vector

from . import asset, mesh_object
from .rig_fit import Bone

NAME = "Rig"


def target(context: bpy.types.Context) -> bpy.types.Object | None:
    """The mesh that is to be rigged: the active one, that of the active armature, or the finished one. Of an asset it
    is the finest level of detail."""
    active, job = context.active_object, context.scene.milo.job
    obj = asset.find(job) or mesh_object.find(job)
    if active is not None and active.type == "MESH":
        obj = active
    elif active is not None and active.type == "ARMATURE":
        obj = next((mesh for mesh in context.scene.objects if mesh.type == "MESH" and of(mesh) == active), None)
    return obj and asset.levels_of(obj)[0]


def of(obj: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that deforms a mesh object, or None."""
    return next((m.object for m in obj.modifiers if m.type == "ARMATURE" and m.object is not None), None)


def world_mesh(obj: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """A mesh without its modifiers, where it stands: verts [V, 3] float32 in the world, triangles [F, 3] int32."""
    verts, faces = arrays(obj.data)
    world = np.array(obj.matrix_world)
    return (verts @ world[:3, :3].T + world[:3, 3]).astype(np.float32), faces


def arrays(mesh: bpy.types.Mesh) -> tuple[np.ndarray, np.ndarray]:
    """verts [V, 3] float32 and triangles [F, 3] int32 of a mesh, in its own space."""
    mesh.calc_loop_triangles()
    verts, faces = np.empty(3 * len(mesh.vertices), np.float32), np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", verts)
    mesh.loop_triangles.foreach_get("vertices", faces)
    return verts.reshape(-1, 3), faces.reshape(-1, 3)


def add(context: bpy.types.Context, obj: bpy.types.Object, bones: list[Bone]) -> bpy.types.Object:
    """An armature of these bones, active, that `obj` will follow once it is bound. In Object Mode."""
    rig = bpy.data.objects.new(f"{obj.name} {NAME}", bpy.data.armatures.new(f"{obj.name} {NAME}"))
    rig.show_in_front = True
    obj.users_collection[0].objects.link(rig)
    points = np.array([point for bone in bones for point in (bone.head, bone.tail)])
    low, high = points.min(axis=0), points.max(axis=0)
    rig.location = (*(low + high)[:2] / 2, low[2])
    for other in context.selected_objects:
        other.select_set(False)
    rig.select_set(True)
    context.view_layer.objects.active = rig

    to_rig = Matrix.Translation(rig.location).inverted()
    bpy.ops.object.mode_set(mode="EDIT")
    made = {}
    for bone in bones:
        new = rig.data.edit_bones.new(bone.name)
        new.head, new.tail = to_rig @ Vector(bone.head), to_rig @ Vector(bone.tail)
        new.align_roll((0, -1, 0) if abs(new.vector.normalized().y) < 0.9 else (0, 0, 1))
        if bone.parent:
            new.parent = made[bone.parent]
            new.use_connect = bool(np.allclose(bone.head, np.array(rig.matrix_basis @ new.parent.tail), atol=1e-6))
        made[bone.name] = new
    bpy.ops.object.mode_set(mode="OBJECT")
    follow(obj, rig)
    return rig


def follow(obj: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Make an armature deform a mesh, before all other modifiers: those that add detail come after."""
    modifier = next((m for m in obj.modifiers if m.type == "ARMATURE"), None)
    if modifier is None:
        modifier = obj.modifiers.new(NAME, "ARMATURE")
        obj.modifiers.move(len(obj.modifiers) - 1, 0)
    modifier.object = rig


def hang_on(obj: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Make a mesh go where its armature goes, unless it hangs on something else already."""
    if obj.parent is None:
        obj.parent = rig
        obj.matrix_parent_inverse = rig.matrix_world.inverted()


def stand_with(obj: bpy.types.Object, other: bpy.types.Object) -> None:
    """Put an object where another one is, on the same parent."""
    obj.parent, obj.parent_type, obj.parent_bone = other.parent, other.parent_type, other.parent_bone
    obj.matrix_parent_inverse, obj.matrix_basis = other.matrix_parent_inverse, other.matrix_basis
