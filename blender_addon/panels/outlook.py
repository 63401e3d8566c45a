# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chosen reconstruction would take, above the button that starts it."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, UILayout

from .. import session
from ..connection.backend import READY
from . import words
from .look import draw_text


def draw_outlook(layout: UILayout, context: Context, now: session.Session) -> None:
    if now.job_state in ("starting", *session.ACTIVE):
        return
    now.outlook.show()
    expected, found = now.outlook.estimate, now.outlook.photos
    problem, told = now.outlook.problem, now.trouble
    if problem is not None:
        if told is None or told.message != problem.message:
            draw_text(layout, context, problem.message, "ERROR", alert=True)
    elif found is not None and now.backend.state != READY:
        column = layout.column()
        column.active = False
        text = iface_("{} photos. Start the backend to see time and memory").format(words.count(found.count))
        draw_text(column, context, text, "TIME")
    elif expected is not None and found is not None:
        time = words.about(expected.seconds) + ("" if expected.measured else iface_(" (a first guess)"))
        text = iface_("{} for {} photos of {} x {}").format(
            time, words.count(found.count), expected.width, expected.height)
        draw_text(layout, context, text, "TIME")
        draw_memory(layout, context, expected.memory, expected.available)


def draw_memory(layout: UILayout, context: Context, needed: int, available: float | None) -> None:
    short = available is not None and needed > available
    if available is None:
        text = iface_("About {} of memory").format(words.size(needed))
    else:
        text = iface_("About {} of {} of memory").format(words.size(needed), words.size(available))
    if short:
        text += iface_(": it may run out. Take a smaller preset, or smaller photos (data.max_width)")
    draw_text(layout, context, text, "ERROR" if short else "MEMORY", alert=short)
