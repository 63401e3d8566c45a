# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user put on the vertices and faces of a mesh, carried over to its next version by nearest surface.

Blender's Mesh.clear_geometry() removes the vertex groups with the vertices, so their names and weights are taken
before and given back after.
"""

from __future__ import annotations

from dataclasses import dataclass

import bmesh
import bpy
import numpy as np
from mathutils.bvhtree import BVHTree

WEIGHT_STEP = 1.0 / 1024.0  # weights are written in steps of this: one call for all vertices of a step


@dataclass(frozen=True)
class Surface:
    """The old surface and what lay on it.

    verts [V, 3] float32; faces [F, 3] int32 (triangulated); weights [V, G] float32, 0 for vertices outside a group;
    groups: (name, locked) each; material [F] int32 or None when every face has the first slot; flat: shaded flat.
    """

    verts: np.ndarray
    faces: np.ndarray
    tree: BVHTree | None
    weights: np.ndarray
    groups: list[tuple[str, bool]]
    active_group: int
    material: np.ndarray | None
    flat: bool


def take(obj: bpy.types.Object) -> Surface:
    """Read what must survive from an object's present mesh (in object mode)."""
    mesh = obj.data
    groups = [(group.name, group.lock_weight) for group in obj.vertex_groups]
    weights = np.zeros((len(mesh.vertices), len(groups)), np.float32)
    if groups:
        for vertex in mesh.vertices:
            for entry in vertex.groups:
                weights[vertex.index, entry.group] = entry.weight

    flat = False
    if "sharp_face" in mesh.attributes:
        sharp = np.zeros(len(mesh.polygons), bool)
        mesh.attributes["sharp_face"].data.foreach_get("value", sharp)
        flat = bool(len(sharp)) and bool(sharp.all())

    slots = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    several_slots = bool(slots.any())

    verts = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", verts.ravel())
    faces, tree, material = np.empty((0, 3), np.int32), None, None
    if weights.any() or several_slots:
        work = bmesh.new()
        try:
            work.from_mesh(mesh)
            bmesh.ops.triangulate(work, faces=work.faces[:])
            faces = np.array([[corner.index for corner in face.verts] for face in work.faces], np.int32).reshape(-1, 3)
            material = np.array([face.material_index for face in work.faces], np.int32) if several_slots else None
            tree = BVHTree.FromBMesh(work) if len(faces) else None
        finally:
            work.free()
    return Surface(verts, faces, tree, weights, groups, obj.vertex_groups.active_index, material, flat)


def give(obj: bpy.types.Object, old: Surface, verts: np.ndarray, faces: np.ndarray) -> None:
    """Put it back on the new mesh: verts [V, 3] float32 and faces [F, 3] int32, as just written to obj.data."""
    mesh = obj.data
    present = {group.name for group in obj.vertex_groups}
    for name, locked in old.groups:
        if name not in present:
            obj.vertex_groups.new(name=name).lock_weight = locked
    if old.groups:
        obj.vertex_groups.active_index = old.active_group
    if old.flat:
        mesh.shade_flat()
    if old.tree is None:
        return
    if old.weights.any():
        write_weights(obj, old.groups, interpolate_weights(old, verts))
    if old.material is not None:
        nearest = [old.tree.find_nearest(point)[2] for point in verts[faces].mean(axis=1).tolist()]
        mesh.polygons.foreach_set("material_index", old.material[np.array(nearest)])


def interpolate_weights(old: Surface, points: np.ndarray) -> np.ndarray:
    """Weights [P, G] float32 of the old surface at its points nearest to `points` [P, 3]."""
    found = [old.tree.find_nearest(point) for point in points.tolist()]
    corners = old.faces[np.array([hit[2] for hit in found])]  # [P, 3]
    at = np.array([hit[0] for hit in found], np.float64)  # [P, 3]
    a, b, c = (old.verts[corners[:, k]].astype(np.float64) for k in range(3))
    ab, ac, ap = b - a, c - a, at - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    area = d00 * d11 - d01 * d01
    good = area > 1e-30
    area = np.where(good, area, 1.0)
    v = np.where(good, (d11 * d20 - d01 * d21) / area, 0.0)
    w = np.where(good, (d00 * d21 - d01 * d20) / area, 0.0)  # a sliver takes its first corner
    share = np.clip(np.stack([1.0 - v - w, v, w], axis=1), 0.0, 1.0)
    share /= share.sum(axis=1, keepdims=True)
    return np.einsum("pk,pkg->pg", share, old.weights[corners]).astype(np.float32)


def write_weights(obj: bpy.types.Object, groups: list[tuple[str, bool]], weights: np.ndarray) -> None:
    """Set vertex group weights [V, G]; vertices below half a step stay outside the group."""
    steps = np.rint(weights / WEIGHT_STEP).astype(np.int32)
    for column, (name, _) in enumerate(groups):
        group = obj.vertex_groups[name]
        order = np.argsort(steps[:, column], kind="stable")
        values, starts = np.unique(steps[order, column], return_index=True)
        for value, members in zip(values, np.split(order, starts[1:])):
            if value > 0:
                group.add(members.tolist(), min(1.0, float(value) * WEIGHT_STEP), "REPLACE")
