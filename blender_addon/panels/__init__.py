# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "MILo" of the 3D View."""

import bpy

from . import advanced, backend, finish, jobs, main, menu, mesh, photos, preview, rig, splats, stored

MODULES = (main, mesh, preview, photos, splats, finish, stored, rig, jobs, backend, advanced, menu)  # from the top
CLASSES = tuple(cls for module in MODULES for cls in module.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    menu.register()


def unregister() -> None:
    menu.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
