# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on one frame after another with Blender's window alive in between; Esc stops it."""

from __future__ import annotations

from collections.abc import Generator

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Context, Event

from ..scene.cameras import CameraError
from ..scene.surface import SurfaceError

ERRORS = (CameraError, SurfaceError, OSError, RuntimeError)  # the last: Blender could not write a picture


class FrameByFrame:
    """Base of an operator whose `execute` returns what `go` does. In background it is done at once.

    Attributes:
        stopped: said after Esc.
    """

    stopped = ""

    def done(self, context: Context) -> str:
        """What is said at the end."""
        raise NotImplementedError

    def go(self, context: Context, frames: Generator[tuple[int, int]]) -> set[str]:
        """Begin; frames yields (done, of how many) after each."""
        self._frames = frames
        if bpy.app.background:
            while (status := self._step(context)) == {"RUNNING_MODAL"}:
                pass
            return status
        manager = context.window_manager
        manager.progress_begin(0, 1)
        self._timer = manager.event_timer_add(0.01, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        if event.type == "ESC":
            self._frames.close()
            self.report({"INFO"}, self.stopped)
            return self._end(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        status = self._step(context)
        return status if status == {"RUNNING_MODAL"} else self._end(context, status)

    def _step(self, context: Context) -> set[str]:
        try:
            done, of = next(self._frames)
        except StopIteration:
            self.report({"INFO"}, self.done(context))
            return {"FINISHED"}
        except ERRORS as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not bpy.app.background:
            context.window_manager.progress_update(done / of)
            context.workspace.status_text_set(rpt_("Frame {} of {}    Esc: stop").format(done, of))
        return {"RUNNING_MODAL"}

    def _end(self, context: Context, status: set[str]) -> set[str]:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)
        return status
