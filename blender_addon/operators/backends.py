# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of backends: save one, choose one, forget one."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import StringProperty
from bpy.types import Operator

from .. import preferences, session
from ..connection import install
from ..connection.backend import STOPPED
from ..connection.backend_process import serve_command
from ..connection.problems import Problem
from ..protocol.pairing import read_code


class WhileStopped:
    """Changes which backend is used."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.current().backend.state != STOPPED:
            cls.poll_message_set("Stop the backend, or disconnect from it, first")
            return False
        return True


class MILO_OT_use_backend(WhileStopped, Operator):
    """Use this backend from now on"""

    bl_idname = "milo.use_backend"
    bl_label = "Use Backend"
    bl_options = {"INTERNAL"}

    name: StringProperty(name="Name", description="Of a saved backend. Empty: the one on this computer")

    def execute(self, context: bpy.types.Context) -> set[str]:
        preferences.get().chosen = self.name
        context.preferences.is_dirty = True
        return {"FINISHED"}


class MILO_OT_add_backend(WhileStopped, Operator):
    """Save a backend that is installed on this computer, to choose it from the list"""

    bl_idname = "milo.add_backend"
    bl_label = "Add Backend Program"

    filepath: StringProperty(
        name="Program", description="The backend's milo program, or a Python that has it", subtype="FILE_PATH"
    )
    name: StringProperty(name="Name", description="As the list is to show it. Empty: named after its folder")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            serve_command(str(path))
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        name = self.name.strip() or install.name_of(path)
        if name in preferences.get().saved:
            self.report({"ERROR"}, rpt_('There is a backend "{}" already: choose another name.').format(name))
            return {"CANCELLED"}
        preferences.save(name, str(path))
        return {"FINISHED"}


class MILO_OT_pair(Operator):
    """Get access to a backend on another computer by the pairing code that it has printed"""

    bl_idname = "milo.pair"
    bl_label = "Pair with Another Computer"

    code: StringProperty(name="Pairing Code", description="What milo serve or milo pair has printed; it begins with milo://")
    name: StringProperty(name="Name", description="As the list is to show it. Empty: the name of that computer")
    address: StringProperty(
        name="Address", description="host:port where it differs from the code's, as behind a router or through a tunnel"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.current().pairing.address:
            cls.poll_message_set("A pairing is under way")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        copied = context.window_manager.clipboard
        try:
            read_code(copied)
            self.code = copied.strip()
        except ValueError:
            self.code = ""
        return context.window_manager.invoke_props_dialog(self, width=420, confirm_text="Pair")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "code", placeholder="milo://...")
        layout.prop(self, "name", placeholder="Name of That Computer")
        layout.prop(self, "address", placeholder="As in the Code")

    def execute(self, context: bpy.types.Context) -> set[str]:
        name = self.name.strip()
        if name in preferences.get().saved:
            self.report({"ERROR"}, rpt_('There is a backend "{}" already: choose another name.').format(name))
            return {"CANCELLED"}
        try:
            session.current().pairing.start(name, self.code, self.address.strip())
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class MILO_OT_forget_backend(WhileStopped, Operator):
    """Take the chosen backend off the list, with the keys to it. Its work stays"""

    bl_idname = "milo.forget_backend"
    bl_label = "Forget Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if preferences.get().chosen not in preferences.get().saved:
            cls.poll_message_set("Choose a saved backend first")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        preferences.forget(preferences.get().chosen)
        return {"FINISHED"}


class MILO_OT_copy_install_command(Operator):
    """Copy the command that installs the backend, for a terminal in the folder of MILo"""

    bl_idname = "milo.copy_install_command"
    bl_label = "Copy Install Command"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = install.COMMAND
        self.report({"INFO"}, "Copied: paste it into a terminal in the folder of MILo")
        return {"FINISHED"}


CLASSES = (MILO_OT_use_backend, MILO_OT_add_backend, MILO_OT_pair, MILO_OT_forget_backend,
           MILO_OT_copy_install_command)
