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

THIS_COMPUTER = "This Computer"


class MILO_PG_backend(PropertyGroup):
    """A saved backend: a program of this computer, or, without one, a backend on another computer, whose address and
    keys are in a file (`saved_home`)."""

    program: StringProperty(
        name="Program", description="The backend's milo program, or a Python that has it", subtype="FILE_PATH"
    )


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
    saved: CollectionProperty(type=MILO_PG_backend)
    chosen: StringProperty(name="Use", description="Which saved backend to use. Empty: the one on this computer")

    def draw(self, context: bpy.types.Context) -> None:
        row = self.layout.row(align=True)
        row.menu("MILO_MT_backends", text=self.chosen or THIS_COMPUTER, icon=icon(self.chosen))
        row.operator("milo.add_backend", text="", icon="ADD")
        row.operator("milo.pair", text="", icon="NETWORK_DRIVE")
        row.operator("milo.forget_backend", text="", icon="REMOVE")
        chosen = self.saved.get(self.chosen)
        column = self.layout.column()
        if chosen is None:
            column.prop(self, "backend_program")
        elif chosen.program:
            column.prop(chosen, "program")
        local = self.layout.column()
        local.active = chosen is None or bool(chosen.program)
        local.prop(self, "backend_home")
        local.prop(self, "outlives")
        local.label(text=iface_("Now: {}").format(home()), icon="FILE_FOLDER")


def get() -> MILO_AP_preferences:
    return bpy.context.preferences.addons[ADDON].preferences


def icon(name: str) -> str:
    """What a backend is shown with: a name of the list, or "" for this computer's own."""
    item = get().saved.get(name)
    return "DESKTOP" if item is None else "CONSOLE" if item.program else "NETWORK_DRIVE"


def home() -> Path:
    """The folder of the chosen backend: with a local one of all its work, with a remote one of its keys."""
    return saved_home(get().chosen) if get().chosen in get().saved else local_home()


def program(of: Path) -> str:
    """The program of the backend with this home folder, as an absolute path, or "" to look for it."""
    mine = get()
    item = next((item for item in mine.saved if item.program and saved_home(item.name) == of), None)
    return bpy.path.abspath(item.program if item else mine.backend_program)


def saved_home(name: str) -> Path:
    """The folder of a saved backend: each has its own, for two versions may not understand each other's work."""
    folder = hashlib.sha256(name.encode()).hexdigest()[:16]  # a name may hold what a path must not
    item = get().saved.get(name)
    if item is not None and item.program:
        return local_home() / "backends" / folder
    return Path(bpy.utils.extension_path_user(ADDON, path="remotes", create=True)) / folder


def save(name: str, program: str = "") -> None:
    """Add a backend to the list, and choose it. Blender saves its preferences when it quits, if it may."""
    item = get().saved.add()
    item.name, item.program = name, program
    get().chosen = name
    bpy.context.preferences.is_dirty = True


def forget(name: str) -> None:
    """Take a backend off the list, with its keys; the work of a local one stays."""
    (saved_home(name) / "connection.json").unlink(missing_ok=True)
    get().saved.remove(get().saved.find(name))
    get().chosen = ""
    bpy.context.preferences.is_dirty = True


def local_home() -> Path:
    """The folder of this computer's backend, and of what the extension itself keeps."""
    chosen = get().backend_home
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(ADDON, path="backend", create=True))


def register() -> None:
    bpy.utils.register_class(MILO_PG_backend)
    bpy.utils.register_class(MILO_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(MILO_AP_preferences)
    bpy.utils.unregister_class(MILO_PG_backend)
