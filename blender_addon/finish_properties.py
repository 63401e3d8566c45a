# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved in the .blend about finished assets: how they are to be made, which objects they are, and where the
splats are."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

TEXTURES = tuple((str(side), f"{side} x {side}", "Size of the base colour and the normal map, pixels")
                 for side in (512, 1024, 2048, 4096, 8192))
COLOURS = (
    ("photos", "Photos", "Blend the photos that see a place"),
    ("splats", "Splats", "What the splats look like from the photos' cameras: without highlights of single photos"),
)
UP = tuple((axis, axis.upper(), "The axis of the reconstruction that is to be up") for axis in
           ("z", "-z", "y", "-y", "x", "-x"))
ORIGINS = (
    ("keep", "Keep", "The origin of the reconstruction"),
    ("base", "Base", "Below the middle, at the lowest point"),
    ("center", "Center", "The middle of the bounding box"),
)


class MILO_PG_finish(PropertyGroup):
    """How the asset of this scene's reconstruction is to be made."""

    triangles: IntProperty(
        name="Triangles", description="Triangles of the finest level, at most", default=20_000, min=4, max=10_000_000,
        soft_min=500, soft_max=500_000,
    )
    texture: EnumProperty(name="Texture", description="Size of the textures", items=TEXTURES, default="2048")
    normal_map: BoolProperty(
        name="Normal Map", description="Keep the relief of the full mesh in a normal map", default=True
    )
    levels: IntProperty(
        name="Levels of Detail",
        description="Objects to make; each has a quarter of the triangles and half the texture of the one before",
        default=1, min=1, max=8,
    )
    source: EnumProperty(name="Color From", description="What the texture is made from", items=COLOURS)
    balance: BoolProperty(
        name="Balance Exposure",
        description="Make the photos equally bright where they show the same: for automatic exposure",
    )
    unit: FloatProperty(
        name="Unit", description="Meters that a unit of the reconstruction is", default=1.0, min=1e-6, soft_max=100.0,
        precision=4,
    )
    up: EnumProperty(name="Up", description="The axis of the reconstruction that is to be up", items=UP)
    origin: EnumProperty(name="Origin", description="Where the origin of the object is to be", items=ORIGINS)
    job: StringProperty(name="Job", description="The backend's id of the finishing that is under way")

    def settings(self) -> dict:
        """For the backend."""
        return {
            "finish.triangles": self.triangles, "finish.texture": int(self.texture), "finish.levels": self.levels,
            "finish.source": self.source, "finish.scale": self.unit, "finish.up": self.up,
            "finish.origin": self.origin, "finish.normal_map": self.normal_map,
            "finish.balance": self.balance,
        }


class MILO_PG_asset(PropertyGroup):
    """Which asset an object is."""

    job: StringProperty(name="Job", description="The reconstruction this was made from")
    owner: StringProperty(name="Owner", description="The object this was given to: in a copy of it, somebody else")
    level: IntProperty(name="Level", description="Level of detail, 0 the finest")
    place: FloatVectorProperty(
        name="Place", description="From the reconstruction to the object, by rows", size=16
    )
    material: PointerProperty(name="Material", description="The asset's own material", type=bpy.types.Material)
    color: PointerProperty(name="Base Color", description="Texture of the base color", type=bpy.types.Image)
    normal: PointerProperty(name="Normal Map", description="Texture with the relief of the scan", type=bpy.types.Image)


class MILO_PG_stored(PropertyGroup):
    """Splats that are stored with the .blend; its name is the job."""

    folder: StringProperty(name="Folder", description="Where the splats are, relative to the .blend")
    packed: PointerProperty(name="Packed", description="The text that they are packed into", type=bpy.types.Text)


CLASSES = (MILO_PG_finish, MILO_PG_asset, MILO_PG_stored)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.milo_finish = PointerProperty(type=MILO_PG_finish)
    bpy.types.Scene.milo_stored = CollectionProperty(type=MILO_PG_stored)
    bpy.types.Object.milo_asset = PointerProperty(type=MILO_PG_asset)


def unregister() -> None:
    del bpy.types.Object.milo_asset
    del bpy.types.Scene.milo_stored
    del bpy.types.Scene.milo_finish
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
