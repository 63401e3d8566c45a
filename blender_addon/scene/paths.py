# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths relative to the .blend, when that is saved into another folder: Blender sees to those of its own datablocks
only. As with those, the files stay where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import bpy


def rebase(old: str, new: str) -> None:
    """Relative paths that were right for a .blend in one place become right for one in another."""
    start, end = os.path.dirname(old), os.path.dirname(new)
    if not old or not new or start == end:
        return
    for holder, name in _paths():
        path = getattr(holder, name)
        if path.startswith("//"):
            setattr(holder, name, relative(os.path.normpath(bpy.path.abspath(path, start=start)), end))


def relative(path: str, start: str | None = None) -> str:
    """A path from a folder, or from the .blend; as it is where there is no way from one to the other."""
    try:
        return bpy.path.relpath(path, start=start)
    except ValueError:  # another drive of Windows
        return path


def _paths() -> Iterator[tuple[bpy.types.PropertyGroup, str]]:
    for scene in bpy.data.scenes:
        if scene.library is None:
            yield from ((scene.milo, name) for name in ("folder", "photo_folder", "video"))
            yield from ((stored, "folder") for stored in scene.milo_stored)
