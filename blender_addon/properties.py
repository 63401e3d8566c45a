# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved in the .blend: choices and job on the scene, and on an object which mesh of which job it shows."""

from __future__ import annotations

import tomllib
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty, StringProperty
from bpy.types import PropertyGroup

SOURCES = (
    ("FOLDER", "Scene Folder", "A folder with photos and their cameras: images/ and sparse/, or transforms.json"),
    ("CAMERAS", "Scene Cameras", "The cameras of this Blender scene, each with its photo as background image"),
)
PRESETS = (
    ("preview", "Preview", "A quick look: minutes on a CPU"),
    ("default", "Default", "The full schedule, for a GPU"),
)


class MILO_PG_scene(PropertyGroup):
    """The user's choices, and which job they led to."""

    source: EnumProperty(name="Source", description="Where the photos and their cameras come from", items=SOURCES)
    folder: StringProperty(
        name="Folder",
        description="Folder with photos and their cameras: images/ and sparse/ (COLMAP), or transforms.json",
        subtype="DIR_PATH",
    )
    preset: EnumProperty(name="Preset", description="How much time to spend", items=PRESETS)
    overrides: StringProperty(
        name="Settings",
        description='Single settings over the preset, separated by semicolons, e.g. "schedule.iterations=800"',
    )
    live_mesh: BoolProperty(
        name="Live Mesh",
        description="Show the mesh while it is being trained. The finished mesh comes in any case",
        default=True,
    )
    max_triangles: IntProperty(
        name="Max Triangles",
        description="Level of detail of the live mesh; the finished mesh comes whole. 0 means all",
        default=200_000,
        min=0,
        soft_max=2_000_000,
    )
    job: StringProperty(name="Job", description="The backend's id of this scene's reconstruction")
    backend_home: StringProperty(name="Backend", description="Folder of the backend with the job", subtype="DIR_PATH")


class MILO_PG_object(PropertyGroup):
    """Which mesh of which job an object shows."""

    job: StringProperty(name="Job", description="The reconstruction this mesh comes from")
    sequence: IntProperty(name="Mesh", description="Number of the mesh in its job")
    triangles: IntProperty(name="Triangles", description="Triangles this mesh came with")
    iteration: IntProperty(name="Iteration", description="Training iteration of this mesh")
    kind: StringProperty(name="Kind", description="provisional, live or final")
    frozen: BoolProperty(name="Frozen", description="Keep this mesh: newer ones of the job are not applied")
    has_material: BoolProperty(name="Has Material", description="The vertex-colour material was assigned once")


def parse_overrides(text: str) -> dict[str, Any]:
    """{"a.b": value} from "a.b=1; c.d=true"; values are TOML, or plain text.

    Raises:
        ValueError: a piece is not key=value.
    """
    settings = {}
    for piece in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not key or not equals:
            raise ValueError(f'Settings: "{piece}" is not of the form section.field=value.')
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = value
    return settings


CLASSES = (MILO_PG_scene, MILO_PG_object)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.milo = PointerProperty(type=MILO_PG_scene)
    bpy.types.Object.milo = PointerProperty(type=MILO_PG_object)


def unregister() -> None:
    del bpy.types.Object.milo
    del bpy.types.Scene.milo
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
