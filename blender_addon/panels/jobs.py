# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstructions that the backend has: what runs, what waits, what is finished."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from .. import session
from . import words
from .look import MiloPanel

ICONS = {"queued": "SORTTIME", "running": "PLAY", "paused": "PAUSE", "interrupted": "PAUSE", "finished": "CHECKMARK",
         "failed": "ERROR", "cancelled": "X"}
SHOWN = 12


class MILO_PT_jobs(MiloPanel, Panel):
    bl_idname = "MILO_PT_jobs"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Reconstructions"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return bool(session.current().job_list.jobs)

    def draw(self, context: Context) -> None:
        column = self.layout.column(align=True)
        for info in session.current().job_list.jobs[:SHOWN]:
            row = column.row(align=True)
            share = f" {info.iteration / info.iterations:.0%}" if info.state == "running" and info.iterations else ""
            shown = info.job == context.scene.milo.job
            show = row.operator("milo.show_job", text=f"{info.name}{share}", icon=ICONS[info.state], depress=shown)
            show.job = info.job
            if info.state in ("queued", "running", "paused"):
                row.operator("milo.cancel_job", text="", icon="CANCEL").job = info.job
            else:
                row.operator("milo.delete_job", text="", icon="TRASH").job = info.job
        left = len(session.current().job_list.jobs) - SHOWN
        if left > 0:
            column.label(text=iface_("and {} older ones").format(words.count(left)))


CLASSES = (MILO_PT_jobs,)
