# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface that splats follow: rest attributes on the finished mesh, and the evaluated mesh read back in bulk.

Blender interpolates the attributes through modifiers and edits, so that every new vertex still knows where it was on
the reconstruction. Geometry that comes from elsewhere reads as 0 and is left alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

from ..protocol.surfaces import Pose, Surface

REST_CO, REST_OK, REST_N, SRC = "rest_co", "rest_ok", "rest_n", "src"
COPYING = {"ARRAY", "MIRROR"}  # modifiers whose copies have splats of their own
SOURCES = "milo_sources"  # custom property of the scene: {number in src: job}, also of jobs whose object was joined


class SurfaceError(Exception):
    """No surface for splats: a sentence for the user."""


def number_of(job: str) -> int:
    """The number of a job in the face attribute: the same in every file, so that objects can be joined or appended."""
    return (int.from_bytes(hashlib.sha256(job.encode()).digest()[:4], "big") & 0x7FFFFFFF) | 1


def write_rest(obj: bpy.types.Object, job: str, scene: bpy.types.Scene,
               rest: tuple[np.ndarray, np.ndarray] | None = None) -> None:
    """Store where the vertices of a finished mesh are at rest, in the reconstruction's own world.

    rest: positions and normals [V, 3] float32; those that the mesh has now where None.
    """
    mesh = obj.data
    count = len(mesh.vertices)
    if rest is None:
        positions, normals = np.empty(3 * count, np.float32), np.empty(3 * count, np.float32)
        mesh.attributes["position"].data.foreach_get("vector", positions)
        mesh.vertices.foreach_get("normal", normals)
    else:
        positions, normals = (np.ascontiguousarray(values, np.float32).ravel() for values in rest)
    number = np.full(len(mesh.polygons), number_of(job), np.int32)
    for name, kind, domain, field, values in (
        (REST_CO, "FLOAT_VECTOR", "POINT", "vector", positions),
        (REST_OK, "FLOAT", "POINT", "value", np.ones(count, np.float32)),
        (REST_N, "FLOAT_VECTOR", "POINT", "vector", normals),
        (SRC, "INT", "FACE", "value", number),
    ):
        if name not in mesh.attributes:
            mesh.attributes.new(name, kind, domain)
        mesh.attributes[name].data.foreach_set(field, values)  # fetched by name: a new one moves the others
    scene[SOURCES] = {**dict(scene.get(SOURCES, {})), str(number_of(job)): job}


def followers(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The objects of a scene whose meshes carry splats and that are rendered."""
    return [obj for obj in scene.objects
            if obj.type == "MESH" and REST_CO in obj.data.attributes and not obj.hide_render]


def read_surface(objects: list[bpy.types.Object], depsgraph: bpy.types.Depsgraph,
                 jobs: list[str]) -> tuple[Surface, Pose]:
    """The evaluated meshes of objects as one surface, and where it is now.

    jobs: reconstructions in the order of their numbers in the surface, from 1; what is of others carries no splats.

    Raises:
        SurfaceError: nothing is left of their rest positions.
    """
    evaluated = [obj.evaluated_get(depsgraph) for obj in objects]
    return _joined([_read(obj, jobs) for obj in evaluated], [obj.name for obj in objects])


def read_shown(depsgraph: bpy.types.Depsgraph) -> tuple[Surface, Pose, tuple[str, ...]]:
    """All that is to be seen of splats in a depsgraph, instances too, and whose they are: jobs by number, from 1.

    Raises:
        SurfaceError: there is nothing, or nothing is left of the rest positions.
    """
    known = jobs_of(depsgraph.scene)
    read: dict[str, dict] = {}
    parts, names = [], []
    for instance in depsgraph.object_instances:
        obj = instance.object
        if obj.type != "MESH" or not instance.show_self or REST_CO not in obj.data.attributes:
            continue
        if obj.name_full not in read:
            read[obj.name_full] = _read(obj, known)
            names.append(obj.name)
        parts.append(read[obj.name_full] | {"matrix": np.array(instance.matrix_world, np.float32)})
    surface, pose = _joined(parts, names)
    used = np.flatnonzero(np.bincount(surface.src)[1:]) + 1
    number = np.zeros(len(known) + 1, np.int32)
    number[used] = np.arange(1, len(used) + 1)
    if len(used) < used[-1]:
        surface = replace(surface, src=number[surface.src])
    return surface, pose, tuple(known[at - 1] for at in used)


def _joined(parts: list[dict], names: list[str]) -> tuple[Surface, Pose]:
    starts = np.cumsum([0, *(len(part["positions"]) for part in parts)])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name]
    if not any((part[SRC] > 0).any() and (part[REST_OK] > 0.999).any() for part in parts):
        raise SurfaceError(
            rpt_(
                "{}: no face knows where it was on the reconstruction. Remesh and voxel modifiers remove that; put "
                "them away, or use the finished mesh as it came."
            ).format(", ".join(names) or rpt_("This scene"))
        )
    for part, start in zip(parts[1:], starts[1:]):
        part["faces"] = part["faces"] + np.int32(start)
    surface = Surface(
        joined("faces"), joined(REST_CO), joined(REST_OK), joined(REST_N), joined(SRC),
        np.repeat(np.arange(len(parts), dtype=np.int32), [len(part["faces"]) for part in parts]),
        np.array([part["replicate"] for part in parts], np.uint8), np.zeros(len(parts), np.uint8))
    return surface, Pose(joined("positions"), np.stack([part["matrix"] for part in parts]))


def _read(evaluated: bpy.types.Object, jobs: list[str]) -> dict:
    """One evaluated object: triangles, positions in its own space, rest attributes, transform."""
    mesh = evaluated.to_mesh()
    try:
        count = len(mesh.vertices)
        faces, polygon = _triangles(mesh)
        numbers = _attribute(mesh, SRC, "FACE", "value", len(mesh.polygons), 1, np.int32)[polygon]
        src = np.zeros(len(faces), np.int32)
        for place, job in enumerate(jobs, 1):
            src[numbers == number_of(job)] = place
        return {
            "faces": faces,
            "positions": _attribute(mesh, "position", "POINT", "vector", count, 3),
            REST_CO: _attribute(mesh, REST_CO, "POINT", "vector", count, 3),
            REST_OK: _attribute(mesh, REST_OK, "POINT", "value", count, 1),
            REST_N: _attribute(mesh, REST_N, "POINT", "vector", count, 3),
            SRC: src,
            "matrix": np.array(evaluated.matrix_world, np.float32),
            "replicate": any(m.type in COPYING and m.show_viewport for m in evaluated.modifiers),
        }
    finally:
        evaluated.to_mesh_clear()


def _triangles(mesh: bpy.types.Mesh) -> tuple[np.ndarray, np.ndarray | slice]:
    """Triangles [F, 3] int32 of a mesh, and which polygon each is of."""
    if len(mesh.loops) == 3 * len(mesh.polygons):  # nothing but triangles, as reconstructions are: 20 times as fast
        corners = _attribute(mesh, ".corner_vert", "CORNER", "value", len(mesh.loops), 1, np.int32)
        return corners.reshape(-1, 3), slice(None)
    mesh.calc_loop_triangles()
    faces, polygon = np.empty((len(mesh.loop_triangles), 3), np.int32), np.empty(len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", faces.ravel())
    mesh.loop_triangles.foreach_get("polygon_index", polygon)
    return faces, polygon


def _attribute(mesh: bpy.types.Mesh, name: str, domain: str, field: str, count: int, width: int,
               dtype: type = np.float32) -> np.ndarray:
    """[count] or [count, width] of an attribute; 0 where there is none."""
    values = np.zeros(count * width, dtype)
    attribute = mesh.attributes.get(name)
    if attribute is not None and attribute.domain == domain and len(attribute.data) == count:
        attribute.data.foreach_get(field, values)
    return values.reshape(-1, width) if width > 1 else values


def jobs_of(scene: bpy.types.Scene, first: str = "") -> list[str]:
    """The reconstructions whose splats this scene may show, `first` in front."""
    known = [obj.milo.job for obj in followers(scene) if obj.milo.job]
    known += [str(job) for job in dict(scene.get(SOURCES, {})).values()]
    return list(dict.fromkeys([*([first] if first in known else []), *known]))
