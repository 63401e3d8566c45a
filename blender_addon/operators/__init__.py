# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do. Each operator is a few lines over the session."""

import bpy

from . import backend, mesh, photos, reconstruct, region, splats

CLASSES = (*backend.CLASSES, *photos.CLASSES, *region.CLASSES, *reconstruct.CLASSES, *mesh.CLASSES, *splats.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
