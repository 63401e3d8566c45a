# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats that stay with the .blend: in a folder beside it, referenced relatively, or packed into it.

The folder is like that of a run (`milo render-animation` takes it): the splats, the mesh that they
follow, and how they are drawn. Packed, it is a zip file in a custom property of a text datablock, which costs nothing
while nobody reads it.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from ..splat_files import files_in
from . import paths

ZIP = "milo_splats"  # custom property of the text


def find(scene: bpy.types.Scene, job: str) -> bpy.types.PropertyGroup | None:
    """What a scene knows of the stored splats of a job, or None."""
    return scene.milo_stored.get(job) if job else None


def entry(scene: bpy.types.Scene, job: str) -> bpy.types.PropertyGroup:
    """The same, made where there is none."""
    found = find(scene, job)
    if found is None:
        found = scene.milo_stored.add()
        found.name = job
    return found


def folder_beside(job: str, name: str) -> Path:
    """Where the splats of a job with this name lie, beside the saved .blend: not where those of another one are."""
    blend = Path(bpy.data.filepath)
    root, name = blend.with_name(f"{blend.stem}_splats"), bpy.path.clean_name(name)
    others = {Path(bpy.path.abspath(stored.folder)) for scene in bpy.data.scenes for stored in scene.milo_stored
              if stored.folder and stored.name != job}
    names = (name, *(f"{name}_{number}" for number in range(2, 1000)))
    return next(root / name for name in names if root / name not in others)


def folder_of(stored: bpy.types.PropertyGroup) -> Path | None:
    """The folder, if the splats are in it."""
    folder = Path(bpy.path.abspath(stored.folder)) if stored.folder else None
    return folder if folder and files_in(folder) else None


def held(stored: bpy.types.PropertyGroup) -> Path | bytes | None:
    """Where the files are: the folder, or else what is packed."""
    return folder_of(stored) or (bytes(stored.packed[ZIP]) if stored.packed else None)


def put_in(stored: bpy.types.PropertyGroup, title: str, packed: bytes) -> None:
    """Keep packed files in the .blend."""
    if stored.packed is None:
        stored.packed = bpy.data.texts.new(f"MILo splats of {title}")
        stored.packed.write("The splats of a reconstruction are packed into this text. MILo's panel unpacks them.\n")
    stored.packed[ZIP] = packed


def take_out(stored: bpy.types.PropertyGroup, folder: Path) -> None:
    """Packed files are in a folder now, and no longer in the .blend."""
    refer(stored, folder)
    text, stored.packed = stored.packed, None
    if text is not None:
        bpy.data.texts.remove(text)


def refer(stored: bpy.types.PropertyGroup, folder: Path) -> None:
    """Note where the files are, relative to the .blend."""
    stored.folder = paths.relative(str(folder))
