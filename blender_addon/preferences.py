# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the backend is installed, and where it keeps its work."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy.types import AddonPreferences

ADDON = __package__


class MILO_AP_preferences(AddonPreferences):
    bl_idname = ADDON

    backend_program: StringProperty(
        name="Backend",
        description="The installed backend: its milo program, or a Python that has it. Empty: milo on the search path",
        subtype="FILE_PATH",
    )
    backend_home: StringProperty(
        name="Work Folder",
        description="Where a local backend keeps photos, checkpoints and results. Empty: the extension's own folder",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.prop(self, "backend_program")
        column.prop(self, "backend_home")
        column.label(text=f"Now: {home()}", icon="FILE_FOLDER")


def get() -> MILO_AP_preferences:
    return bpy.context.preferences.addons[ADDON].preferences


def program() -> str:
    """The backend's program as an absolute path, or "" to look for it."""
    return bpy.path.abspath(get().backend_program)


def home() -> Path:
    """The folder of the local backend."""
    chosen = get().backend_home
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(ADDON, path="backend", create=True))


def register() -> None:
    bpy.utils.register_class(MILO_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(MILO_AP_preferences)
