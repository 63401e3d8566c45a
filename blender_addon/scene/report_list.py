# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on photos as a list in the panel. It lives in the window manager: it is not saved in the .blend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import pictures


def fill(report: Any, folder: Path | None) -> None:
    """Show a report (the protocol's PhotoReport) in the list, photos with problems first.

    folder: where the photos are on this computer; None for frames of a video.
    """
    if folder is not None and (folder / "images").is_dir():
        folder = folder / "images"
    pictures.clear_thumbnails()
    photos = bpy.context.window_manager.milo_photos
    photos.clear()
    for photo in sorted(report.photos, key=lambda photo: (not photo.problems, photo.name)):
        item = photos.add()
        item.name, item.path = photo.name, str(folder / photo.name) if folder is not None else ""
        item.problems = ", ".join(photo.problems)
        item.sharpness, item.brightness = photo.sharpness or 0.0, photo.brightness or 0.0
        item.width, item.height = photo.width, photo.height
        item.state = {None: "UNKNOWN", True: "FOUND", False: "LOST"}[photo.registered]
