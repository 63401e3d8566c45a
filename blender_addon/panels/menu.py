# SPDX-License-Identifier: GPL-3.0-or-later
"""A menu with everything, in the 3D View's Object menu: the search (F3) finds what menus hold."""

from __future__ import annotations

import bpy
from bpy.types import Context, Menu

GROUPS = (
    ("start_backend", "stop_backend", "show_log"),
    ("check_photos", "align", "cancel_photos", "set_scale", "add_region"),
    ("reconstruct", "pause", "resume", "cancel"),
    ("freeze", "render_splats", "save_animation"),
    ("add_armature", "bind", "test_pose", "add_wave", "add_turntable"),
    ("help",),
)


class MILO_MT_all(Menu):
    bl_idname = "MILO_MT_all"
    bl_label = "MILo"

    def draw(self, context: Context) -> None:
        for i, names in enumerate(GROUPS):
            if i:
                self.layout.separator()
            for name in names:
                self.layout.operator(f"milo.{name}")


def draw_in_object_menu(menu: Menu, context: Context) -> None:
    menu.layout.separator()
    menu.layout.menu(MILO_MT_all.bl_idname)


def register() -> None:
    bpy.types.VIEW3D_MT_object.append(draw_in_object_menu)


def unregister() -> None:
    bpy.types.VIEW3D_MT_object.remove(draw_in_object_menu)


CLASSES = (MILO_MT_all,)
