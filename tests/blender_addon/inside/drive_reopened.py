# SPDX-License-Identifier: Apache-2.0
"""Runs in a second Blender with a window: opens the .blend of drive_journey.py, whose job still runs, and goes on."""

import os
import sys

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import picture, press, until
from my_work import kept


def artist():
    now = hands.install()
    bpy.ops.wm.open_mainfile(filepath=str(hands.ROOM / "scene.blend"))
    yield from hands.wait(1.0)
    choices = bpy.context.scene.milo
    obj = next(obj for obj in bpy.data.objects if obj.milo.job == choices.job)
    before = kept(obj)
    yield from until(lambda: now.job_state in ("running", "failed"), 30)   # nobody has pressed anything
    attached = now.job_state
    yield from hands.open_tab()
    yield from picture("journey-8-reopened")
    stayed = now.refreshes == 0 and obj.milo.frozen
    yield from press("milo.freeze")            # Follow Again
    yield from until(lambda: now.refreshes or now.trouble)
    assert not now.trouble, now.trouble
    yield from picture("journey-9-followed-again")
    after = kept(obj)
    yield from press("milo.cancel", hands.RIGHT)
    yield from until(lambda: now.job_state == "cancelled", 30)
    hands.result(attached=attached, job=now.job, before=before, stayed=stayed, after=after)


hands.play(artist())
