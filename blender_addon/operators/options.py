# SPDX-License-Identifier: GPL-3.0-or-later
"""Change single options of the backend."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_tip as tip_
from bpy.props import StringProperty
from bpy.types import Operator

from .. import options


class MILO_OT_set_option(Operator):
    """Change one option of the reconstruction"""

    bl_idname = "milo.set_option"
    bl_label = "Set Option"
    bl_options = {"INTERNAL", "UNDO"}

    key: StringProperty(name="Option", description="section.name")
    value: StringProperty(name="Value", description="The new value. Empty: as the preset has it")

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        option = options.all_options().get(properties.key)
        if option is None:
            return cls.__doc__
        default = tip_("Default: {}").format(options.written(option.default))
        return f"{option.key}: {tip_(option.meaning)}.\n{default}"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        choices = context.scene.milo
        now = options.parse(choices.overrides).get(self.key, present(choices.preset, self.key))
        if isinstance(now, bool):
            self.value = options.written(not now)
            return self.execute(context)
        self.value = now if isinstance(now, str) else options.written(now)
        return context.window_manager.invoke_props_dialog(self, title=self.key, width=420)

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "value", text="")
        self.layout.label(text=options.all_options()[self.key].meaning)

    def execute(self, context: bpy.types.Context) -> set[str]:
        choices = context.scene.milo
        value = self.value.strip()
        try:
            if isinstance(options.all_options()[self.key].default, str) and value:
                value = options.written(value.strip('"'))
            if value == options.written(present(choices.preset, self.key)):
                value = ""
            choices.overrides = options.changed(choices.overrides, self.key, value)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def present(preset: str, key: str) -> object:
    """The value of an option under a preset."""
    return options.preset(preset).get(key, options.all_options()[key].default)


CLASSES = (MILO_OT_set_option,)
