# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user put on the vertices and faces of a mesh, carried over to its next version by nearest surface.

Blender's Mesh.clear_geometry() removes the vertex groups with the vertices, so their names and weights are taken
before and given back after. Weights can only be read vertex by vertex, so that is done in slices, a few milliseconds at
a time; then `transfer` finds what goes where. It is plain numpy, for any thread.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import bpy
import numpy as np

from ..protocol.messages import MeshSnapshot
from . import nearest

WEIGHT_STEP = 1.0 / 1024.0  # weights are written in steps of this: one call for all vertices of a step
SLICE = 500  # vertices read in one go: about a millisecond


@dataclass(frozen=True)
class Surface:
    """The old surface and what lay on it.

    verts [V, 3] float32; faces [F, 3] int32 (triangulated); groups: (name, locked) each; weights: arrays [N, 3] float64
    with a row (vertex, group, weight) for each vertex in a group; material [F] int32 or None when every face has the
    first slot; flat: shaded flat.
    """

    verts: np.ndarray
    faces: np.ndarray
    groups: list[tuple[str, bool]]
    active_group: int
    weights: list[np.ndarray]
    material: np.ndarray | None
    flat: bool


@dataclass(frozen=True)
class Carried:
    """What a new mesh gets: for each group (weight, its vertices), ...; material slots [F] int32; None for neither."""

    weights: dict[str, list[tuple[float, list[int]]]]
    material: np.ndarray | None = None


class Taking:
    """Reads what must survive from an object's present mesh, in object mode. `step` until that gives something.

    No reference into Blender's data is kept from one step to the next: an undo would leave it dangling.
    """

    def __init__(self, obj: bpy.types.Object):
        self.vertices = len(obj.data.vertices)
        self.groups = [(group.name, group.lock_weight) for group in obj.vertex_groups]
        self._weights: list[np.ndarray] = []
        self._next = 0 if self.groups else self.vertices

    def fits(self, obj: bpy.types.Object) -> bool:
        """Whether an object still looks as it did when this began."""
        return len(obj.data.vertices) == self.vertices and [g.name for g in obj.vertex_groups] == [
            name for name, _ in self.groups]

    def step(self, obj: bpy.types.Object, end: float) -> Surface | None:
        """Read on until `end` by time.perf_counter()."""
        while self._next < self.vertices:
            start, self._next = self._next, self._next + SLICE
            rows = [
                (index, entry.group, entry.weight)
                for index, vertex in enumerate(obj.data.vertices[start : self._next], start)
                for entry in vertex.groups
            ]
            if rows:
                self._weights.append(np.array(rows, np.float64))
            if time.perf_counter() > end:
                return None
        return self._whole(obj)

    def _whole(self, obj: bpy.types.Object) -> Surface:
        mesh = obj.data
        slots = _of_faces(mesh, "material_index", np.int32)
        sharp = _of_faces(mesh, "sharp_face", bool)
        verts, faces, material = np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), None
        if self._weights or slots.any():
            verts = np.empty((self.vertices, 3), np.float32)
            mesh.attributes["position"].data.foreach_get("vector", verts.ravel())
            faces, polygons = _triangles(mesh)
            material = slots[polygons] if slots.any() else None
        flat = bool(len(sharp)) and bool(sharp.all())
        return Surface(verts, faces, self.groups, obj.vertex_groups.active_index, self._weights, material, flat)


def _triangles(mesh: bpy.types.Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [F, 3] int32 of a mesh, and the polygon [F] int32 of each."""
    if len(mesh.loops) == 3 * len(mesh.polygons):  # as reconstructed: read fifty times as fast as below
        faces = np.empty((len(mesh.polygons), 3), np.int32)
        mesh.attributes[".corner_vert"].data.foreach_get("value", faces.ravel())
        return faces, np.arange(len(faces), dtype=np.int32)
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    faces, polygons = np.empty((count, 3), np.int32), np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("vertices", faces.ravel())
    mesh.loop_triangles.foreach_get("polygon_index", polygons)
    return faces, polygons


def _of_faces(mesh: bpy.types.Mesh, name: str, dtype: type) -> np.ndarray:
    """The values of a face attribute, none where the mesh does not have it."""
    attribute = mesh.attributes.get(name)
    if attribute is None or attribute.domain != "FACE":
        return np.zeros(0, dtype)
    values = np.zeros(len(attribute.data), dtype)
    attribute.data.foreach_get("value", values)
    return values


def _set_of_faces(mesh: bpy.types.Mesh, name: str, kind: str, values: np.ndarray) -> None:
    """Write a face attribute: a hundred times as fast as through the polygons."""
    attribute = mesh.attributes.get(name) or mesh.attributes.new(name, kind, "FACE")
    attribute.data.foreach_set("value", values)


class Transfer:
    """Carries what lies on an object's mesh over to its next one: read in slices, computed on a thread of its own.

    Attributes:
        mesh: the new mesh.
        old, carried: the results, once `step` has said so; carried is None where it failed.
    """

    def __init__(self, mesh: MeshSnapshot, obj: bpy.types.Object):
        self.mesh = mesh
        self.old: Surface | None = None
        self.carried: Carried | None = None
        self._taking = Taking(obj)
        self._thread: threading.Thread | None = None

    def fits(self, obj: bpy.types.Object) -> bool:
        """Whether an object still looks as it did when this began."""
        return self._taking.fits(obj)

    def step(self, obj: bpy.types.Object, end: float) -> bool:
        """Go on until `end` by time.perf_counter(). Returns whether the results are there."""
        if self._thread is None:
            self.old = self._taking.step(obj, end)
            if self.old is not None:
                self._thread = threading.Thread(target=self._run, name="milo transfer", daemon=True)
                self._thread.start()
            return False
        return not self._thread.is_alive()

    def _run(self) -> None:
        self.carried = transfer(self.old, self.mesh.verts, self.mesh.faces)


def has_to_be_carried(obj: bpy.types.Object) -> bool:
    """Whether something may lie on single vertices or faces of an object's mesh."""
    return bool(len(obj.data.polygons)) and (bool(obj.vertex_groups) or "material_index" in obj.data.attributes)


def take(obj: bpy.types.Object) -> Surface:
    """Read at once what must survive from an object's present mesh (in object mode)."""
    return Taking(obj).step(obj, float("inf"))


def transfer(old: Surface, verts: np.ndarray, faces: np.ndarray) -> Carried:
    """What of the old surface goes where on a new mesh, verts [V, 3] float32 and faces [F, 3] int32."""
    weights, material = {}, None
    if len(old.faces) and len(verts) and old.weights:
        face, shares = nearest.on_surface(old.verts, old.faces, verts)
        corners = old.faces[face]
        rows = np.concatenate(old.weights)
        for index, (name, _) in enumerate(old.groups):
            mine = rows[rows[:, 1] == index]
            column = np.zeros(len(old.verts), np.float32)
            column[mine[:, 0].astype(np.int64)] = mine[:, 2]
            weights[name] = in_steps((shares * column[corners]).sum(axis=1))
    if len(old.faces) and len(faces) and old.material is not None:
        face, _ = nearest.on_surface(old.verts, old.faces, verts[faces].mean(axis=1))
        material = old.material[face]
    return Carried(weights, material)


def in_steps(weights: np.ndarray) -> list[tuple[float, list[int]]]:
    """Weights [V] as (weight, its vertices) in steps; vertices below half a step are left out."""
    steps = np.rint(weights / WEIGHT_STEP).astype(np.int32)
    order = np.argsort(steps, kind="stable")
    values, starts = np.unique(steps[order], return_index=True)
    parts = zip(values.tolist(), np.split(order, starts[1:]))
    return [(min(1.0, value * WEIGHT_STEP), members.tolist()) for value, members in parts if value > 0]


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
        _set_of_faces(mesh, "sharp_face", "BOOLEAN", np.ones(len(mesh.polygons), bool))
    for name, parts in carried.weights.items():
        group = obj.vertex_groups[name]
        for weight, members in parts:
            group.add(members, weight, "REPLACE")
    if carried.material is not None:
        _set_of_faces(mesh, "material_index", "INT", carried.material)
