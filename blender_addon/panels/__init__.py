# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "MILo" of the 3D View."""

import bpy

from . import advanced, jobs, main, photos

CLASSES = (main.MILO_PT_main, *photos.CLASSES, *main.CLASSES[1:], *jobs.CLASSES, *advanced.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
