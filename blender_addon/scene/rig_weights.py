# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of bones: Blender's automatic ones (bone heat), found on a light, closed copy of the mesh and carried over to
the mesh itself.

Bone heat needs closed surfaces without shells inside, which would keep the outside from the bones' sight, and takes
minutes on a million triangles. So it gets the surface of the body that the mesh stands for (rig_solid.py). It gives no
weight to what no bone can see; there, and where it fails altogether, nearness to the bones decides.
"""

from __future__ import annotations

from contextlib import suppress

import bpy
import numpy as np

from . import asset, nearest, rig, rig_solid
from .carry import in_steps
from .mesh_object import write_geometry

TRIANGLES = 6_000  # of the copy: bone heat takes less than a second
ISLAND = 0.01  # of the copy's triangles: smaller islands (floaters) go with their neighbours
BONES = 4  # at a vertex, as game engines and glTF want it
SEEN = 1e-3  # sum of weights below which bone heat found none
FALLOFF = 6  # power of the distance to a bone


def bind(context: bpy.types.Context, obj: bpy.types.Object, armature: bpy.types.Object) -> float:
    """Give a mesh the weights of an armature's bones; in Object Mode. Weights of these bones are replaced.

    The coarser levels of detail of an asset get those of the finest, and stand where it does.

    Returns the share of the mesh, 0 to 1, that bone heat gave no weights: there they come from the distance to bones.

    Raises:
        ValueError: the mesh has no faces, or the armature no bones that deform.
    """
    names = [bone.name for bone in armature.data.bones if bone.use_deform]
    verts, faces = rig.world_mesh(obj)
    if not len(faces):
        raise ValueError(f"{obj.name} has no faces to bind.")
    if not names:
        raise ValueError(f"{armature.name} has no bone that deforms: switch Deform on in the properties of its bones.")
    copy = bpy.data.objects.new("MILo weights", bpy.data.meshes.new("MILo weights"))
    try:
        lighten(context, copy, verts, faces)
        light, light_faces = rig.world_mesh(copy)
        weights = bone_heat(context, copy, armature, names)
    finally:
        remove(copy)
    unseen = weights.sum(axis=1) < SEEN
    weights[unseen] = by_distance(light[unseen], *segments(armature, names))
    weights /= weights.sum(axis=1, keepdims=True)

    face, shares = nearest.on_surface(light, light_faces, verts)
    whole = strongest(np.einsum("pk,pkg->pg", shares, weights[light_faces[face]]))
    missing = np.einsum("pk,pk->p", shares, unseen[light_faces[face]].astype(np.float32))
    give(obj, names, whole)
    rig.follow(obj, armature)
    rig.hang_on(obj, armature)
    for level in asset.levels_of(obj)[1:]:
        verts, faces = rig.arrays(obj.data)
        face, shares = nearest.on_surface(verts, faces, rig.arrays(level.data)[0])
        give(level, names, strongest(np.einsum("pk,pkg->pg", shares, whole[faces[face]])))
        rig.follow(level, armature)
        rig.stand_with(level, obj)
    return float(missing.mean())


def give(obj: bpy.types.Object, names: list[str], weights: np.ndarray) -> None:
    """Write the weights [V, bones] of bones on a mesh, in place of those that they had."""
    for name, column in zip(names, weights.T):
        old = obj.vertex_groups.get(name)
        if old is not None:
            obj.vertex_groups.remove(old)
        group = obj.vertex_groups.new(name=name)
        for weight, members in in_steps(column):
            group.add(members, weight, "REPLACE")


def lighten(context: bpy.types.Context, obj: bpy.types.Object, verts: np.ndarray, faces: np.ndarray) -> None:
    """Give a new object a closed surface of few triangles around the body of a mesh, without floaters."""
    context.scene.collection.objects.link(obj)
    body = rig_solid.solid(verts, faces)
    write(obj, *rig_solid.boundary(body))
    closed = obj.modifiers.new("closed", "REMESH")  # cells that touch at an edge become one surface
    closed.mode, closed.voxel_size, closed.adaptivity = "VOXEL", body.cell, 0.0
    write(obj, *evaluated(context, obj))
    obj.modifiers.clear()
    obj.modifiers.new("light", "DECIMATE").ratio = min(1.0, TRIANGLES / len(obj.data.polygons))
    verts, faces = without_islands(*evaluated(context, obj))
    obj.modifiers.clear()
    write(obj, verts, faces)


def write(obj: bpy.types.Object, verts: np.ndarray, faces: np.ndarray) -> None:
    write_geometry(obj.data, verts, faces, np.zeros((len(verts), 3), np.uint8))


def evaluated(context: bpy.types.Context, obj: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """verts [V, 3] and triangles [F, 3] of an object after its modifiers, in its own space."""
    context.view_layer.update()
    return rig.arrays(obj.evaluated_get(context.evaluated_depsgraph_get()).data)


def without_islands(verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of a mesh that hang together and have a fair share of its triangles; the largest in any case."""
    island = np.arange(len(verts))
    while True:  # the lowest vertex number spreads over each part
        lowest = island[faces].min(axis=1)
        spread = island.copy()
        for corner in range(3):
            np.minimum.at(spread, faces[:, corner], lowest)
        spread = spread[spread]
        if (spread == island).all():
            break
        island = spread
    parts, counts = np.unique(island[faces[:, 0]], return_counts=True)
    kept = faces[np.isin(island[faces[:, 0]], parts[counts >= min(ISLAND * len(faces), counts.max())])]
    used, faces = np.unique(kept, return_inverse=True)
    return verts[used], faces.reshape(-1, 3).astype(np.int32)


def bone_heat(context: bpy.types.Context, obj: bpy.types.Object, armature: bpy.types.Object,
              names: list[str]) -> np.ndarray:
    """Blender's automatic weights [V, bones] of an object, 0 where there are none."""
    with context.temp_override(object=armature, active_object=armature, selected_objects=[obj, armature],
                               selected_editable_objects=[obj, armature]), suppress(RuntimeError):
        bpy.ops.object.parent_set(type="ARMATURE_AUTO")  # fails where it finds no solution: the weights tell where
    column = {group.index: names.index(group.name) for group in obj.vertex_groups if group.name in names}
    weights = np.zeros((len(obj.data.vertices), len(names)), np.float32)
    for vertex in obj.data.vertices:
        for entry in vertex.groups:
            if entry.group in column:
                weights[vertex.index, column[entry.group]] = entry.weight
    return weights


def segments(armature: bpy.types.Object, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Heads and tails [B, 3] of bones at rest, in the world."""
    world, bones = armature.matrix_world, [armature.data.bones[name] for name in names]
    return tuple(np.array([world @ getattr(bone, end) for bone in bones]) for end in ("head_local", "tail_local"))


def by_distance(points: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Weights [P, B] that fall off with the distance of points [P, 3] from bones; their sum is 1."""
    along = tails - heads
    t = np.einsum("pbx,bx->pb", points[:, None] - heads, along) / np.maximum((along**2).sum(axis=1), 1e-20)
    foot = heads + np.clip(t, 0, 1)[:, :, None] * along
    distance = np.maximum(np.linalg.norm(points[:, None] - foot, axis=2), 1e-9)
    weights = (distance.min(axis=1, keepdims=True) / distance) ** FALLOFF
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def strongest(weights: np.ndarray) -> np.ndarray:
    """Weights [V, B] with only the strongest bones of each vertex; their sum is 1."""
    if weights.shape[1] > BONES:
        least = np.partition(weights, -BONES, axis=1)[:, -BONES, None]
        weights = np.where(weights >= least, weights, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def remove(obj: bpy.types.Object) -> None:
    mesh = obj.data
    bpy.data.objects.remove(obj)
    bpy.data.meshes.remove(mesh)
