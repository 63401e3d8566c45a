# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats that stay with the .blend: in a folder beside it, referenced relatively, or packed into it.

The folder is like that of a run (`milo render-animation` takes it, with a PLY in it): the splats, the mesh that they
follow, and how they are drawn. Packed, it is a zip file in a custom property of a text datablock, which costs nothing
while nobody reads it.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_

from ..protocol.stored import STORED

ZIP = "milo_splats"  # custom property of the text


class StoredError(Exception):
    """A sentence for the user."""


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


def files_in(folder: Path) -> dict[str, Path]:
    """{name: file} of stored splats; {} if there are none."""
    found = {name: folder / name for name in STORED if (folder / name).is_file()}
    if "splats.ply" in found:  # the more exact one
        found.pop("splats.spz", None)
    return found if any(name.startswith("splats") for name in found) else {}


def folder_of(stored: bpy.types.PropertyGroup) -> Path | None:
    """The folder, if the splats are in it."""
    folder = Path(bpy.path.abspath(stored.folder)) if stored.folder else None
    return folder if folder and files_in(folder) else None


def sources(stored: bpy.types.PropertyGroup) -> dict[str, Path | bytes]:
    """The files, from the folder or else from what is packed; {} if there is neither."""
    folder = folder_of(stored)
    if folder:
        return files_in(folder)
    return _unzipped(stored.packed[ZIP]) if stored.packed else {}


def pack(stored: bpy.types.PropertyGroup, title: str) -> int:
    """Put the files of the folder into the .blend; returns the bytes it grows by. Raises StoredError, OSError."""
    folder = folder_of(stored)
    if folder is None:
        raise StoredError(rpt_("There are no splats in {}: save them first.").format(stored.folder or "the .blend"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, path in files_in(folder).items():
            kind = zipfile.ZIP_STORED if path.suffix == ".spz" else zipfile.ZIP_DEFLATED  # that is compressed already
            file.write(path, name, kind)
    data = stream.getvalue()
    if stored.packed is None:
        stored.packed = bpy.data.texts.new(f"MILo splats of {title}")
        stored.packed.write("The splats of a reconstruction are packed into this text. MILo's panel unpacks them.\n")
    stored.packed[ZIP] = data
    return len(data)


def unpack(stored: bpy.types.PropertyGroup, folder: Path) -> None:
    """Write what is packed into a folder beside the .blend, and take it out of it. Raises StoredError, OSError."""
    if stored.packed is None:
        raise StoredError(rpt_("No splats are packed into this .blend."))
    files = _unzipped(stored.packed[ZIP])
    folder.mkdir(parents=True, exist_ok=True)
    for name in STORED:
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    refer(stored, folder)
    text, stored.packed = stored.packed, None
    bpy.data.texts.remove(text)


def refer(stored: bpy.types.PropertyGroup, folder: Path) -> None:
    """Note where the files are, relative to the .blend."""
    stored.folder = bpy.path.relpath(str(folder))


def _unzipped(data: bytes) -> dict[str, bytes]:
    """Raises StoredError: these are no packed splats."""
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as file:
            return {name: file.read(name) for name in STORED if name in file.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise StoredError(rpt_("The packed splats cannot be read: {}.").format(error)) from None
