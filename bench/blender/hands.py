# SPDX-License-Identifier: Apache-2.0
"""What scripts in a Blender window share (see stage.py): the mouse, the keys, pictures, and where buttons are.

A script is a generator: whatever is yielded from waits for a while, so that Blender's main loop goes on. Buttons are
found as a person finds them, by moving the mouse over the sidebar; Blender says which one is under it.
"""

import json
import os
import time
import traceback
from pathlib import Path

import bpy

ROOM = Path(os.environ["ROOM"])
LEFT, RIGHT, EDGE = 0.3, 0.72, 0.86   # of the sidebar: where buttons are looked for
STEP_S = 0.02
PAGE, PAGES = 30, 6   # clicks of the wheel for a page of the sidebar; pages at most

bpy.context.preferences.view.show_splash = False   # before the window is up


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def until(condition, seconds=240.0):
    """Wait for something; to wait in vain is an error."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain")
        yield


def wish(name, **what):
    """Ask the stage for something and wait until it is granted."""
    part = ROOM / f"{name}.part"
    part.write_text(json.dumps(what))
    granted = part.rename(ROOM / f"{name}.wish")
    while granted.exists():
        yield


def picture(name):
    yield from wait(0.6)   # whatever moves has come to rest
    yield from wish("picture", picture=name)


def xdotool(*words):
    yield from wish("hands", hands=[str(word) for word in words])
    yield from wait(0.06)


def keys(*names):
    yield from xdotool("key", *names)
    yield from wait(0.2)


def view():
    """(area, space, sidebar, main region) of the 3D view."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    regions = {region.type: region for region in area.regions}
    return area, area.spaces.active, regions["UI"], regions["WINDOW"]


def move(region, x, y):
    """The mouse to a place in a region, pixels from its lower left."""
    bpy.context.window_manager.windows[0].cursor_warp(region.x + int(x), region.y + int(y))
    yield
    yield


def under_mouse():
    """The operator ("milo.align") or property ("milo.source") of the button under the mouse, or ""."""
    area, _, region, _ = view()
    manager = bpy.context.window_manager
    with bpy.context.temp_override(window=manager.windows[0], area=area, region=region):
        for copy in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
            if copy.poll():
                manager.clipboard = ""
                copy()
                text = manager.clipboard
                if text:
                    return text.removeprefix("bpy.ops.").partition("(")[0]
    return ""


def find(button, column=LEFT):
    """Move the mouse down a column of the sidebar until it is on a button: what is in sight, then page by page."""
    region = view()[2]
    for page in range(2 * PAGES):
        for y in range(region.height - 12, 6, -16):
            yield from move(region, column * (region.width - 20), y)
            if under_mouse() == button:
                return
        yield from move(region, 7, 0.5 * region.height)   # beside the lists, which would turn themselves
        up = page == PAGES - 1   # from the end to the beginning
        yield from xdotool("click", "--repeat", PAGE * PAGES if up else PAGE, "--delay", 4, 4 if up else 5)
        yield from wait(0.3)
    raise LookupError(f"no button {button} in the sidebar")


def press(button, column=LEFT):
    """Click on a button of the sidebar."""
    yield from find(button, column)
    yield from xdotool("click", 1)
    yield from wait(0.2)


def fill_in(button, text):
    """Type into a text field."""
    yield from find(button)
    yield from xdotool("click", "--repeat", 2, "--delay", 80, 1)
    yield from keys("ctrl+a")
    yield from xdotool("type", "--delay", 15, text)
    yield from keys("Return")


def open_tab():
    """N over the 3D view, then the tab, as its name is clicked on at the right edge."""
    _, space, region, main = view()
    yield from wait(0.5)
    if not space.show_region_ui:
        yield from move(main, main.width / 2, main.height / 2)
        yield from keys("n")
        yield from until(lambda: space.show_region_ui and region.width > 100, 10)
    for y in range(region.height - 20, 20, -30):
        yield from move(region, region.width - 8, y)
        yield from xdotool("click", 1)
        if region.active_panel_category == "MILo":
            return
    raise LookupError("no tab MILo")


def install():
    """Install the zip as Install from Disk does, and name the stage's backend; the add-on's session."""
    bpy.ops.extensions.package_install_files(filepath=str(ROOM / "milo.zip"), repo="user_default",
                                             enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    mine = preferences.get()
    mine.backend_home, mine.backend_program = str(ROOM / "home"), str(ROOM / "milo")
    return session.current()


class Stopwatch:
    """Times what the add-on does on the main thread from now on: polls, and the drawing of its panels.

    By the clock, and by what the main thread itself computed: other work on the machine counts in the first only.
    """

    def __init__(self, now):
        self.now, self.polls, self.draws = now, [], []   # (seconds, seconds of the main thread, meshes shown)
        poll = now.poll
        now.poll = lambda *arguments: self._time(self.polls, poll, *arguments)
        for panel in bpy.types.Panel.__subclasses__():
            if panel.__module__.startswith("bl_ext.user_default.milo"):
                self._watch(panel)

    def _watch(self, panel):
        draw = panel.draw
        panel.draw = lambda panel, context: self._time(self.draws, draw, panel, context)   # Blender counts arguments

    def _time(self, times, function, *arguments):
        shown, start, computed = self.now.refreshes, time.perf_counter(), time.thread_time()
        try:
            return function(*arguments)
        finally:
            times.append((time.perf_counter() - start, time.thread_time() - computed, self.now.refreshes - shown))

    def figures(self):
        """The longest of each kind, milliseconds."""
        def longest(times, place):
            return round(1000 * max((entry[place] for entry in times), default=0.0), 2)
        between, at = [p for p in self.polls if not p[2]], [p for p in self.polls if p[2]]
        return {"between_ms": longest(between, 0), "between_cpu_ms": longest(between, 1), "refreshes": len(at),
                "refresh_ms": longest(at, 0), "refresh_cpu_ms": longest(at, 1), "draw_ms": longest(self.draws, 0),
                "draw_cpu_ms": longest(self.draws, 1)}


def result(**figures):
    (ROOM / "result.json").write_text(json.dumps(figures))


def play(steps):
    """Take the steps of a script, then quit."""
    def step():
        try:
            next(steps)
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return None
        except Exception:
            traceback.print_exc()
            (ROOM / "picture.wish").write_text(json.dumps({"picture": "went-wrong"}))
            time.sleep(1.0)
            bpy.ops.wm.quit_blender()
            return None
        return STEP_S
    bpy.app.timers.register(step, first_interval=2.0, persistent=True)
