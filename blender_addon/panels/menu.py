# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus: of the backends; and one with everything, in the 3D View's Object menu, where the search (F3) finds it."""

from __future__ import annotations

import bpy
from bpy.types import Context, Menu

from .. import operators, preferences


class MILO_MT_backends(Menu):
    """Which backend to use."""

    bl_idname = "MILO_MT_backends"
    bl_label = "Backends"

    def draw(self, context: Context) -> None:
        layout, mine = self.layout, preferences.get()
        for name in ("", *(item.name for item in mine.saved)):
            shown, icon = name or preferences.THIS_COMPUTER, preferences.icon(name)
            layout.operator("milo.use_backend", text=shown, icon=icon, translate=not name).name = name
        layout.separator()
        layout.operator("milo.add_backend", icon="ADD")
        layout.operator("milo.pair", icon="NETWORK_DRIVE")
        layout.operator("milo.forget_backend", icon="REMOVE")


class MILO_MT_all(Menu):
    bl_idname = "MILO_MT_all"
    bl_label = "MILo"

    def draw(self, context: Context) -> None:
        for module in operators.MODULES:
            names = [cls.bl_idname for cls in module.CLASSES if "INTERNAL" not in getattr(cls, "bl_options", ())]
            for name in names:
                self.layout.operator(name)
            if names and module is not operators.MODULES[-1]:
                self.layout.separator()


def draw_in_object_menu(menu: Menu, context: Context) -> None:
    menu.layout.separator()
    menu.layout.menu(MILO_MT_all.bl_idname)


def register() -> None:
    bpy.types.VIEW3D_MT_object.append(draw_in_object_menu)


def unregister() -> None:
    bpy.types.VIEW3D_MT_object.remove(draw_in_object_menu)


CLASSES = (MILO_MT_backends, MILO_MT_all)
