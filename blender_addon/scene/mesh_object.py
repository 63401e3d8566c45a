# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh object of a job: found, made, and refreshed in place.

A refresh replaces the geometry of the object's own mesh datablock. Object, transform, parent, modifiers, constraints,
materials, custom properties and vertex groups stay. Indices are trusted here: the network thread has checked them,
because Mesh.validate() would hold up the user interface for seconds.
"""

from __future__ import annotations

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

from . import carry, material

COPY = "copy"
BUSY_MODES = {
    "EDIT": "Edit Mode",
    "SCULPT": "Sculpt Mode",
    "VERTEX_PAINT": "Vertex Paint",
    "WEIGHT_PAINT": "Weight Paint",
    "TEXTURE_PAINT": "Texture Paint",
}


_last_name: dict[str, str] = {}  # of the object of a job: polls need not look through a scene of thousands


def find(job: str) -> bpy.types.Object | None:
    """The mesh object that follows a job, or None. Copies of it (Shift+D, paste, append) do not follow the job."""
    if not job:
        return None
    last = bpy.data.objects.get(_last_name.get(job, ""))
    if last is not None and last.milo.job == job and follows(last):
        return last
    objects = (obj for obj in bpy.data.objects if obj.type == "MESH" and obj.milo.job == job)
    found = next(filter(follows, objects), None)
    if found is not None:
        _last_name[job] = found.name
    return found


def follows(obj: bpy.types.Object) -> bool:
    """Whether an object that shows a mesh of a job is the job's own, not a copy."""
    return is_own(obj, obj.milo)


def is_own(obj: bpy.types.Object, mark: bpy.types.PropertyGroup) -> bool:
    """Whether a mark of an object (obj.milo, obj.milo_asset) was given to itself, not to what it is a copy of."""
    return mark.owner in ("", str(obj.session_uid))


def own() -> None:
    """Mark one object of each job, and of each level of its asset, as its own; when a .blend was opened, as Blender
    numbers objects anew then.

    An automatic save may hold a copy that nobody let go of: the first by name is the job's.
    """
    owned = set()
    for obj in bpy.data.objects:
        for mark, what in ((obj.milo, None), (obj.milo_asset, obj.milo_asset.level)):
            if mark.job:
                mark.owner = str(obj.session_uid) if (mark.job, what) not in owned else COPY
                owned.add((mark.job, what))
    let_go_of_copies()


def let_go_of_copies() -> None:
    """Make copies of a job's objects objects like any other: in a saved .blend both would look alike."""
    for obj in bpy.data.objects:
        for mark in (obj.milo, obj.milo_asset):
            if mark.job and not is_own(obj, mark):
                mark.job = mark.owner = ""


def create(job: str, name: str, scene: bpy.types.Scene) -> bpy.types.Object:
    """A new, empty mesh object for a job, in the scene's main collection."""
    obj = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    obj.milo.job, obj.milo.owner = job, str(obj.session_uid)
    scene.collection.objects.link(obj)
    return obj


def why_wait(obj: bpy.types.Object) -> str:
    """Why this object's mesh must not be replaced just now, as a sentence for the panel; empty if it may."""
    users = [o for o in bpy.data.objects if o.data == obj.data] if obj.data.users > 1 else [obj]
    mode = next((BUSY_MODES[user.mode] for user in users if user.mode in BUSY_MODES), None)
    if mode:
        return rpt_("Leave {} to see the newer mesh").format(rpt_(mode))
    if obj.data.is_editmode:
        return "Leave Edit Mode to see the newer mesh"
    if obj.data.shape_keys is not None:
        return rpt_("{} has shape keys: remove them to see the newer mesh, or Freeze the mesh to keep them").format(
            obj.name
        )
    if obj.data.library is not None:
        return rpt_("The mesh of {} is linked from another file: make it local to see the newer mesh").format(obj.name)
    return ""


def slow_subdivisions(obj: bpy.types.Object) -> list[bpy.types.SubsurfModifier]:
    """Modifiers that hold Blender up at each refresh.

    The limit surface (on by default) is refined around every vertex without four neighbours, which on triangles is
    every one: 10 s and 2 GB at 45 k triangles, against 0.15 s and 50 MB without it.
    """
    return [m for m in obj.modifiers if m.type == "SUBSURF" and m.show_viewport and m.levels and m.use_limit_surface]


def replace(
    obj: bpy.types.Object,
    verts: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    kept: tuple[carry.Surface, carry.Carried] | None = None,
) -> None:
    """Replace the geometry of an object's mesh in place.

    Args:
        obj: a mesh object with nothing to wait for (`why_wait`).
        verts: [V, 3] float32, object space.
        faces: [F, 3] int32, every index in [0, V).
        colors: [V, 3] uint8, sRGB.
        kept: what lay on the old mesh and where it goes, where a thread has found that out already.
    """
    if kept is None:
        old = carry.take(obj)
        kept = old, carry.transfer(old, verts, faces)
    write_geometry(obj.data, verts, faces, colors)
    carry.give(obj, *kept)
    material.assign_once(obj)
    obj.update_tag()


def write_geometry(mesh: bpy.types.Mesh, verts: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> None:
    """Fill a mesh through its attributes, the fastest way from 4.2 to 5.x (1 M vertices in about a second)."""
    mesh.clear_geometry()
    mesh.vertices.add(len(verts))
    mesh.loops.add(3 * len(faces))
    mesh.polygons.add(len(faces))
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(verts, np.float32).ravel())
    if len(faces):
        mesh.attributes[".corner_vert"].data.foreach_set("value", np.ascontiguousarray(faces, np.int32).ravel())
        mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    mesh.attributes.new(material.COLOR_ATTRIBUTE, "BYTE_COLOR", "POINT")
    rgba = np.ones((len(verts), 4), np.float32)
    rgba[:, :3] = colors.astype(np.float32) / 255.0
    mesh.attributes[material.COLOR_ATTRIBUTE].data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = mesh.color_attributes[material.COLOR_ATTRIBUTE]
    mesh.color_attributes.render_color_index = mesh.color_attributes.active_color_index
    mesh.update()
