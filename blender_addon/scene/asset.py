# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished asset of a reconstruction: an object for each level of detail, in a collection, where the scan stands.

Finishing again replaces the geometry and the pictures of the same objects. Object, transform, modifiers, materials,
custom properties and vertex groups stay, as with a reconstruction's mesh (mesh_object.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Matrix

from ..protocol.assets import AssetMesh
from . import asset_material, carry, mesh_object, surface


class Level(NamedTuple):
    """A level of detail as the backend has made it."""

    number: int
    mesh: AssetMesh
    color: bytes            # PNG
    normal: bytes | None

    @staticmethod
    def read(folder: Path, name: str, number: int) -> Level:
        """Read the files of a level. The name comes from the backend. Raises ProtocolError, OSError, ValueError."""
        if not re.fullmatch("[A-Za-z0-9_-]+", name):
            raise ValueError(f"{name!r} is no name of a level")  # but perhaps a way out of the folder
        normal = folder / f"{name}_normal.png"
        return Level(number, AssetMesh.read(folder / f"{name}.npz"),
                     asset_material.read_png(folder / f"{name}_color.png"),
                     asset_material.read_png(normal) if normal.is_file() else None)


class Geometry(NamedTuple):
    """Vertices [V, 3] float32 and faces [F, 3] int32."""

    verts: np.ndarray
    faces: np.ndarray


def find(job: str, level: int = 0) -> bpy.types.Object | None:
    """The object of a finished reconstruction, or None."""
    return next((obj for obj in levels(job) if obj.milo_asset.level == level), None) if job else None


def levels(job: str) -> list[bpy.types.Object]:
    """The objects of a finished reconstruction, the finest first. Copies of them are the user's own."""
    found = [obj for obj in bpy.data.objects if obj.type == "MESH" and job and obj.milo_asset.job == job
             and mesh_object.is_own(obj, obj.milo_asset)]
    return sorted(found, key=lambda obj: obj.milo_asset.level)


def levels_of(obj: bpy.types.Object) -> list[bpy.types.Object]:
    """All levels of detail of the asset that an object is one of, the finest first; else the object alone."""
    found = levels(obj.milo_asset.job)
    return found if obj in found else [obj]


def place_of(obj: bpy.types.Object) -> np.ndarray:
    """[4, 4] from the reconstruction's world to an object that shows it."""
    place = np.array(obj.milo_asset.place).reshape(4, 4)
    return place if place.any() else np.eye(4)     # a copy of an asset has its place still


def before(obj: bpy.types.Object, level: Level) -> Geometry:
    """A level's geometry where an object's present one is: its place may have changed, its scale or its axes."""
    place = place_of(obj)
    return Geometry((level.mesh.rest_co @ place[:3, :3].T + place[:3, 3]).astype(np.float32), level.mesh.faces)


def build(scene: bpy.types.Scene, job: str, name: str, level: Level,
          kept: tuple[carry.Surface, carry.Carried] | None = None) -> bpy.types.Object:
    """Make or renew the object of a level.

    Args:
        scene: where a new one belongs.
        job: the reconstruction. name: what it is called, if there is no scan of it in the .blend any more.
        kept: what lay on the present mesh and where it goes.
    """
    obj = find(job, level.number) or _create(scene, job, name, level)
    about, mesh = obj.milo_asset, level.mesh
    old, new = (Matrix(np.array(place).reshape(4, 4).tolist()) for place in (about.place, mesh.place))
    obj.matrix_basis = obj.matrix_basis @ Matrix.Translation(old.translation - new.translation)
    about.place = mesh.place.ravel().tolist()
    mesh_object.write_geometry(obj.data, mesh.positions, mesh.faces, mesh.colors)
    obj.data.uv_layers.new(name=asset_material.UV_MAP, do_init=False)
    obj.data.uv_layers[asset_material.UV_MAP].uv.foreach_set("vector", mesh.uvs.ravel())
    if kept is not None:
        carry.give(obj, *kept)
    surface.write_rest(obj, job, scene, (mesh.rest_co, mesh.rest_n))
    _texture(obj, level)
    obj.update_tag()
    return obj


def _texture(obj: bpy.types.Object, level: Level) -> None:
    about, name = obj.milo_asset, re.sub(r"[^A-Za-z0-9_-]", "_", obj.name)  # exporters stumble over other letters
    _leave_to_copies(obj)
    about.color = asset_material.packed_image(f"{name}_color", level.color, "sRGB", about.color)
    if level.normal is not None:
        about.normal = asset_material.packed_image(f"{name}_normal", level.normal, "Non-Color", about.normal)
    elif about.normal is not None:
        unused, about.normal = about.normal, None
        bpy.data.images.remove(unused)
    if about.material is None:
        about.material = asset_material.new_material(obj.name)
        obj.data.materials.append(about.material)
    asset_material.dress(about.material, about.color, about.normal)


def _leave_to_copies(obj: bpy.types.Object) -> None:
    """Part from a material and pictures that objects with another mesh show, which they fit as they are."""
    about = obj.milo_asset
    materials = {slot.material for other in bpy.data.objects if other.data != obj.data for slot in other.material_slots}
    if about.material in materials and about.material is not None:
        own = about.material.copy()
        for slot in obj.material_slots:
            if slot.material == about.material:
                slot.material = own
        about.material = own
    if asset_material.pictures_of(materials - {None}) & {about.color, about.normal}:
        about.color = about.normal = None


def _create(scene: bpy.types.Scene, job: str, name: str, level: Level) -> bpy.types.Object:
    """A new object that stands where the scan does."""
    scan = mesh_object.find(job)
    name = scan.name if scan else name
    finest = find(job)
    obj = bpy.data.objects.new(f"{name} LOD{level.number}", bpy.data.meshes.new(f"{name} LOD{level.number}"))
    obj.milo_asset.job, obj.milo_asset.level, obj.milo_asset.owner = job, level.number, str(obj.session_uid)
    obj.milo_asset.place = [value for row in Matrix.Identity(4) for value in row]
    if finest is None:
        collection = bpy.data.collections.new(f"{name} Finished")
        scene.collection.children.link(collection)
    else:
        collection = finest.users_collection[0]
    collection.objects.link(obj)
    stands = finest or scan
    if stands is not None:
        for view_layer in scene.view_layers:
            view_layer.update()
        obj.parent, obj.parent_type, obj.parent_bone = stands.parent, stands.parent_type, stands.parent_bone
        obj.matrix_world = stands.matrix_world
    if finest is not None:  # its origin was moved already
        obj.milo_asset.place = finest.milo_asset.place
    return obj


def show_only_finest(scene: bpy.types.Scene, job: str) -> None:
    """Hide the scan and coarser levels in views and renders: the splats are drawn once, on the finest level."""
    finest, *others = levels(job)
    scan = mesh_object.find(job)
    for obj in [*others, *([scan] if scan else [])]:
        obj.hide_render = True
        for view_layer in scene.view_layers:
            if obj.name in view_layer.objects:
                if view_layer.objects.active == obj:
                    view_layer.objects.active = finest
                    finest.select_set(True, view_layer=view_layer)
                obj.hide_set(True, view_layer=view_layer)


def remove_from(job: str, count: int) -> None:
    """Remove levels beyond the first `count`, of an earlier finishing."""
    for obj in levels(job)[count:]:
        about = obj.milo_asset
        parts = [part for part in (obj, obj.data, about.material, about.color, about.normal) if part is not None]
        for part in parts:  # the object first: it uses the others
            if part == obj or not part.users:
                bpy.data.batch_remove([part])
