# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: opens every panel of the tab, so that all of them are drawn."""

import json
import os
import traceback
from pathlib import Path

import bpy

ROOM = Path(os.environ["ROOM"])
bpy.context.preferences.view.show_splash = False   # before the window is up


def picture(name):
    """Ask the test for a picture and wait until it is taken."""
    wish = ROOM / f"{name}.wish"
    wish.touch()
    while wish.exists():
        yield


def visit():
    bpy.ops.extensions.package_install_files(filepath=str(ROOM / "milo.zip"), repo="user_default",
                                             enable_on_install=True)
    from bl_ext.user_default.milo import panels, preferences, session
    preferences.get().backend_home = str(ROOM / "home")
    for cls in (cls for cls in panels.CLASSES if hasattr(cls, "bl_parent_id")):   # open all but the long one
        bpy.utils.unregister_class(cls)
        cls.bl_options = {"DEFAULT_CLOSED"} if cls.__name__ == "MILO_PT_mesh" else set()
        bpy.utils.register_class(cls)
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    area.spaces.active.show_region_ui = True
    for _ in range(10):
        yield
    while region.active_panel_category != "MILo":
        region.active_panel_category = "MILo"
        region.tag_redraw()
        yield
    choices, now = bpy.context.scene.milo, session.current()
    choices.folder, choices.preset = str(ROOM / "photos"), "low"
    for _ in range(2):
        bpy.ops.milo.reconstruct()
        while now.starting or now.job_state != "running":
            yield
    while len(now.job_list.jobs) < 2:
        yield
    choices.option_section = "region"
    bpy.ops.milo.set_option(key="region.margin", value="0.5")
    for _ in range(5):
        yield
    yield from picture("6-all-panels")
    for item in choices.bl_rna.properties["option_section"].enum_items:
        choices.option_section = item.identifier
        region.tag_redraw()
        yield
    (ROOM / "result.json").write_text(json.dumps({"jobs": len(now.job_list.jobs), "overrides": choices.overrides}))


STEPS = visit()


def step():
    try:
        next(STEPS)
    except StopIteration:
        bpy.ops.wm.quit_blender()
        return None
    except Exception:
        traceback.print_exc()
        bpy.ops.wm.quit_blender()
        return None
    return 0.1


bpy.app.timers.register(step, first_interval=2.0, persistent=True)
