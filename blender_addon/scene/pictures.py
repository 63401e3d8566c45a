# SPDX-License-Identifier: GPL-3.0-or-later
"""Little pictures for the panel, and one for the image editor. They are not saved in the .blend."""

from __future__ import annotations

import bpy
import bpy.utils.previews
import numpy as np

THUMBNAIL = "photo "  # begins the names of thumbnails
BESIDE = "MILo preview"  # the image with a photo and its rendering side by side

_icons: bpy.utils.previews.ImagePreviewCollection | None = None


def show(name: str, rgba: np.ndarray) -> None:
    """Set a picture [H, W, 4] uint8, rows from bottom to top."""
    icon = _icons.get(name) or _icons.new(name)
    icon.image_size = rgba.shape[1], rgba.shape[0]
    icon.image_pixels.foreach_set(np.ascontiguousarray(rgba).view(np.int32).ravel())


def clear(*names: str) -> None:
    for name in names:
        if name in _icons:
            del _icons[name]


def icon(name: str) -> int:
    """Its number for the layout, 0 if it is not there."""
    return _icons[name].icon_id if name in _icons else 0


def thumbnail(path: str) -> int:
    """The number of a photo's thumbnail, which Blender makes in a job of its own when it is drawn."""
    name = THUMBNAIL + path
    if name not in _icons:
        _icons.load(name, path, "IMAGE")
    return _icons[name].icon_id


def clear_thumbnails() -> None:
    """Photos may have changed."""
    clear(*(name for name in list(_icons) if name.startswith(THUMBNAIL)))


def upright(rgb: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 from top to bottom -> [H, W, 4] from bottom to top."""
    return np.dstack([rgb[::-1], np.full(rgb.shape[:2], 255, np.uint8)])


def show_beside(left: np.ndarray, right: np.ndarray) -> bpy.types.Image:
    """Two pictures [H, W, 4] uint8 from bottom to top into one image."""
    both = np.concatenate([left, right], 1)
    height, width = both.shape[:2]
    image = bpy.data.images.get(BESIDE) or bpy.data.images.new(BESIDE, width, height)
    if tuple(image.size) != (width, height):
        image.scale(width, height)
    image.pixels.foreach_set((both.astype(np.float32) / 255).ravel())
    image.update()
    return image


def is_open() -> bool:
    """Whether an image editor shows it."""
    image = bpy.data.images.get(BESIDE)
    return image is not None and any(
        area.type == "IMAGE_EDITOR" and area.spaces.active.image == image
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
    )


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    bpy.utils.previews.remove(_icons)
