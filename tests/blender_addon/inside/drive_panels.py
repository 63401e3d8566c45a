# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: opens every panel of the tab, so that all of them are drawn."""

import os
import sys

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import until


def visit():
    now = hands.install()
    from bl_ext.user_default.milo import panels
    for cls in (cls for cls in panels.CLASSES if hasattr(cls, "bl_parent_id")):   # open all but the long one
        bpy.utils.unregister_class(cls)
        cls.bl_options = {"DEFAULT_CLOSED"} if cls.__name__ == "MILO_PT_preview" else set()
        bpy.utils.register_class(cls)
    yield from hands.open_tab()
    choices = bpy.context.scene.milo
    choices.source, choices.folder, choices.preset = "FOLDER", str(hands.ROOM / "photos"), "low"
    for _ in range(2):
        bpy.ops.milo.reconstruct()
        yield from until(lambda: not now.starting and now.job_state == "running")
    yield from until(lambda: len(now.job_list.jobs) >= 2)
    choices.option_section = "region"
    bpy.ops.milo.set_option(key="region.margin", value="0.5")
    yield from hands.picture("all-panels")
    for item in choices.bl_rna.properties["option_section"].enum_items:
        choices.option_section = item.identifier
        hands.view()[2].tag_redraw()
        yield from hands.wait(0.1)
    hands.result(jobs=len(now.job_list.jobs), overrides=choices.overrides)


hands.play(visit())
