# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend to use; where the local one is installed, and where it keeps its work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_iface as iface_
from bpy.props import BoolProperty, CollectionProperty, StringProperty
from bpy.types import AddonPreferences, PropertyGroup

ADDON = __package__


LOCAL = "This Computer"


class MILO_PG_remote(PropertyGroup):
    """A backend on another computer; its address and keys are in a file (`remote_home`)."""


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

    outlives: BoolProperty(
        name="Keep Running Without Blender",
        description="A backend that Blender has started goes on with its work when Blender quits",
    )
    remotes: CollectionProperty(type=MILO_PG_remote)
    chosen: StringProperty(name="Use", description="Which backend to use. Empty: the one on this computer")

    def draw(self, context: bpy.types.Context) -> None:
        row = self.layout.row(align=True)
        row.prop_search(self, "chosen", self, "remotes", icon="NETWORK_DRIVE")
        row.operator("milo.add_remote", text="", icon="ADD")
        row.operator("milo.remove_remote", text="", icon="REMOVE")
        column = self.layout.column()
        column.active = not self.chosen
        column.prop(self, "backend_program")
        column.prop(self, "backend_home")
        column.prop(self, "outlives")
        column.label(text=iface_("Now: {}").format(home()), icon="FILE_FOLDER")


def get() -> MILO_AP_preferences:
    return bpy.context.preferences.addons[ADDON].preferences


def program() -> str:
    """The backend's program as an absolute path, or "" to look for it."""
    return bpy.path.abspath(get().backend_program)


def home() -> Path:
    """The folder of the chosen backend: with a local one of all its work, with a remote one of its keys."""
    if get().chosen in get().remotes:
        return remote_home(get().chosen)
    return local_home()


def remote_home(name: str) -> Path:
    """The folder of a remote backend's address and keys."""
    folder = hashlib.sha256(name.encode()).hexdigest()[:16]  # a name may hold what a path must not
    return Path(bpy.utils.extension_path_user(ADDON, path="remotes", create=True)) / folder


def local_home() -> Path:
    """The folder of this computer's backend, and of what the extension itself keeps."""
    chosen = get().backend_home
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(ADDON, path="backend", create=True))


def register() -> None:
    bpy.utils.register_class(MILO_PG_remote)
    bpy.utils.register_class(MILO_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(MILO_AP_preferences)
    bpy.utils.unregister_class(MILO_PG_remote)
