# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: follows a job whose meshes come one after another and times the main thread."""

import os
import sys
import time

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import until, wait

CHUNK = 50   # steps of weights, so that writing them is no part of what is measured


class Gaps:
    """Time between two calls of a timer that asks to be called at once: whatever holds the main loop up."""

    def __init__(self):
        self.gaps, self._last, self._on = [], None, True
        bpy.app.timers.register(self._tick, first_interval=0.0)

    def _tick(self):
        now = time.perf_counter()
        if self._last is not None:
            self.gaps.append(now - self._last)
        self._last = now
        return 0.002 if self._on else None

    def stop(self):
        self._on = False
        return self.gaps


def put_groups_on(obj, count):
    """Vertex groups with smooth weights that overlap, as a rig has them."""
    z = [vertex.co.z for vertex in obj.data.vertices]
    low, high = min(z), max(z)
    for number in range(count):
        group = obj.vertex_groups.new(name=f"group {number}")
        at = low + (high - low) * (number + 0.5) / count
        width = (high - low) / count
        parts = {}
        for index, value in enumerate(z):
            weight = max(0.0, 1 - abs(value - at) / width)
            if weight:
                parts.setdefault(round(CHUNK * weight) / CHUNK, []).append(index)
        for weight, members in parts.items():
            group.add(members, weight, "REPLACE")


def redraws(area):
    """The longest gap while the view is drawn again and again and the add-on has nothing to do: Blender's own part."""
    gaps = Gaps()
    for _ in range(12):
        area.tag_redraw()
        yield from wait(0.3)
    return gaps.stop()


def artist():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    now = hands.install()
    area, space = hands.view()[:2]
    space.shading.color_type = "VERTEX"
    yield from hands.open_tab()
    choices = bpy.context.scene.milo
    choices.source, choices.folder = "FOLDER", str(hands.ROOM / "photos")
    choices.max_triangles, choices.refresh_s = 0, 0.0
    groups = int(os.environ["GROUPS"])
    bpy.ops.milo.reconstruct()
    yield from until(lambda: now.refreshes or now.trouble)
    assert not now.trouble, now.trouble
    obj = next(obj for obj in bpy.data.objects if obj.milo.job == choices.job)
    if groups:
        put_groups_on(obj, groups)
    yield from wait(1.0)
    polls, gaps = hands.Stopwatch(now), Gaps()
    begin = time.perf_counter()
    yield from until(lambda: obj.milo.kind == "final", 550)
    seconds = time.perf_counter() - begin
    gaps = gaps.stop()
    quiet = yield from redraws(area)
    hands.result(triangles=len(obj.data.polygons), vertices=len(obj.data.vertices), groups=groups, seconds=seconds,
                 gap_ms=1000 * max(gaps), redraw_ms=1000 * max(quiet), **polls.figures())


hands.play(artist())
