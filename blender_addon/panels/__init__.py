# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "MILo" of the 3D View."""

import bpy

from . import advanced, backend, finish, jobs, main, menu, photos, preview, rig, splats, stored

CLASSES = (
    *(main.MILO_PT_main, *preview.CLASSES, *photos.CLASSES, *main.CLASSES[1:]),
    *(cls for module in (splats, finish, stored, rig, jobs, backend, advanced, menu) for cls in module.CLASSES),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    menu.register()


def unregister() -> None:
    menu.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
