# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user put on the vertices and faces of a mesh, carried over to its next version by nearest surface.

Blender's Mesh.clear_geometry() removes the vertex groups with the vertices, so their names and weights are taken
before and given back after. Between the two, `transfer` finds what goes where; it is plain numpy, for any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import bpy
import numpy as np

from . import nearest

WEIGHT_STEP = 1.0 / 1024.0  # weights are written in steps of this: one call for all vertices of a step


@dataclass(frozen=True)
class Surface:
    """The old surface and what lay on it.

    verts [V, 3] float32; faces [F, 3] int32 (triangulated); weights [V, G] float32, 0 for vertices outside a group;
    groups: (name, locked) each; material [F] int32 or None when every face has the first slot; flat: shaded flat.
    """

    verts: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    groups: list[tuple[str, bool]]
    active_group: int
    material: np.ndarray | None
    flat: bool

    @property
    def has_to_be_carried(self) -> bool:
        """Whether something lies on single vertices or faces."""
        return bool(len(self.faces)) and (self.material is not None or bool(self.weights.any()))


@dataclass(frozen=True)
class Carried:
    """Weights [V, G] float32 and material slots [F] int32 of a new mesh; None where there is nothing to write."""

    weights: np.ndarray | None = None
    material: np.ndarray | None = None


class Transfer:
    """`transfer` on a thread of its own.

    Attributes:
        mesh: whatever the new mesh belongs to, for the caller.
        carried: the result, or None while it is under way.
    """

    def __init__(self, mesh: object, old: Surface, verts: np.ndarray, faces: np.ndarray):
        self.mesh, self.old, self.carried = mesh, old, None
        self._thread = threading.Thread(target=self._run, args=(verts, faces), name="milo transfer", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def fits(self, obj: bpy.types.Object) -> bool:
        """Whether an object still looks as it did when this began."""
        names = [group.name for group in obj.vertex_groups]
        return len(obj.data.vertices) == len(self.old.verts) and names == [name for name, _ in self.old.groups]

    def _run(self, verts: np.ndarray, faces: np.ndarray) -> None:
        self.carried = transfer(self.old, verts, faces)


def take(obj: bpy.types.Object) -> Surface:
    """Read what must survive from an object's present mesh (in object mode)."""
    mesh = obj.data
    groups = [(group.name, group.lock_weight) for group in obj.vertex_groups]
    weights = np.zeros((len(mesh.vertices), len(groups)), np.float32)
    if groups:
        for index, vertex in enumerate(mesh.vertices):
            for entry in vertex.groups:
                weights[index, entry.group] = entry.weight

    flat = False
    if "sharp_face" in mesh.attributes:
        sharp = np.zeros(len(mesh.polygons), bool)
        mesh.attributes["sharp_face"].data.foreach_get("value", sharp)
        flat = bool(len(sharp)) and bool(sharp.all())

    slots = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    several_slots = bool(slots.any())

    verts, faces = np.empty((len(mesh.vertices), 3), np.float32), np.empty((0, 3), np.int32)
    material = None
    if weights.any() or several_slots:
        mesh.vertices.foreach_get("co", verts.ravel())
        mesh.calc_loop_triangles()
        count = len(mesh.loop_triangles)
        faces, polygons = np.empty((count, 3), np.int32), np.empty(count, np.int32)
        mesh.loop_triangles.foreach_get("vertices", faces.ravel())
        mesh.loop_triangles.foreach_get("polygon_index", polygons)
        material = slots[polygons] if several_slots else None
    return Surface(verts, faces, weights, groups, obj.vertex_groups.active_index, material, flat)


def transfer(old: Surface, verts: np.ndarray, faces: np.ndarray) -> Carried:
    """What of the old surface goes where on a new mesh, verts [V, 3] float32 and faces [F, 3] int32."""
    weights = material = None
    if len(old.faces) and len(verts) and old.weights.any():
        face, shares = nearest.on_surface(old.verts, old.faces, verts)
        weights = np.einsum("pk,pkg->pg", shares, old.weights[old.faces[face]]).astype(np.float32)
    if len(old.faces) and len(faces) and old.material is not None:
        face, _ = nearest.on_surface(old.verts, old.faces, verts[faces].mean(axis=1))
        material = old.material[face]
    return Carried(weights, material)


def give(obj: bpy.types.Object, old: Surface, carried: Carried) -> None:
    """Put it back on the new mesh that was just written to obj.data."""
    mesh = obj.data
    present = {group.name for group in obj.vertex_groups}
    for name, locked in old.groups:
        if name not in present:
            obj.vertex_groups.new(name=name).lock_weight = locked
    if old.groups:
        obj.vertex_groups.active_index = old.active_group
    if old.flat:
        mesh.shade_flat()
    if carried.weights is not None:
        write_weights(obj, old.groups, carried.weights)
    if carried.material is not None:
        mesh.polygons.foreach_set("material_index", carried.material)


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
