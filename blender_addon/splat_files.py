# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of stored splats, in a folder or as one zip. For any thread; imports no bpy."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

from .connection.problems import Problem
from .protocol.stored import STORED


def files_in(folder: Path) -> dict[str, Path]:
    """{name: file} of stored splats; {} if there are none."""
    found = {name: folder / name for name in STORED if (folder / name).is_file()}
    if "splats.ply" in found:  # the more exact one
        found.pop("splats.spz", None)
    return found if any(name.startswith("splats") for name in found) else {}


def files_of(kept: Path | bytes) -> dict[str, Path | bytes]:
    """{name: file} of a folder, or {name: content} of what was packed. Raises Problem: these are no packed splats."""
    if isinstance(kept, Path):
        return files_in(kept)
    try:
        with zipfile.ZipFile(io.BytesIO(kept)) as file:
            return {name: file.read(name) for name in STORED if name in file.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Problem(f"The packed splats cannot be read: {error}.") from error


def pack(folder: Path) -> bytes:
    """The files of a folder as one zip, uncompressed: they hardly shrink. Raises Problem."""
    stream, files = io.BytesIO(), files_in(folder)
    if not files:  # what was packed before must not give way to nothing
        raise Problem(f"There are no splats in {folder}.", "Save them again.")
    try:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
            for name, path in files.items():
                file.write(path, name)
    except OSError as error:
        raise Problem(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    return stream.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Write what was packed into a folder, in place of what is there. Raises Problem."""
    files, part = files_of(packed), part_of(folder)
    if not files:
        raise Problem("There are no splats in what was packed.", "Restore the .blend, or save the splats again.")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in files.items():
            (part / name).write_bytes(content)
        _replace(part, folder)
    except OSError as error:
        raise Problem(f"The splats cannot be put into {folder}: {error.strerror}.", "They stay packed.") from error


def part_of(folder: Path) -> Path:
    """Where files are until all of them are there: those of an earlier time stay until then."""
    return folder.with_name(f".{folder.name}.part")


def put_in_place(folder: Path) -> None:
    """Files that are all there take the place of those of an earlier time. Raises Problem."""
    try:
        _replace(part_of(folder), folder)
    except OSError as error:
        raise Problem(
            f"The splats cannot be put into {folder}: {error.strerror}.",
            "They wait beside it. Make room, or let the folder be written to, and save them again.",
        ) from error


def _replace(part: Path, folder: Path) -> None:
    arrived = list(part.iterdir())
    folder.mkdir(exist_ok=True)
    for path in arrived:
        path.replace(folder / path.name)
    for name in {*STORED} - {path.name for path in arrived}:  # last: whatever fails, there are splats
        (folder / name).unlink(missing_ok=True)
    part.rmdir()
