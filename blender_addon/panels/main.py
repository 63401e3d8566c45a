# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel: backend, source, the buttons, progress, trouble."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel, UILayout

from .. import heartbeat, session
from . import backend, frames, outlook, photos, words
from .look import MiloPanel, draw_text, side_by_side


class MILO_PT_main(MiloPanel, Panel):
    bl_idname = "MILO_PT_main"
    bl_label = "MILo"

    def draw_header_preset(self, context: Context) -> None:
        self.layout.operator("milo.help", text="", icon="HELP", emboss=False)

    def draw(self, context: Context) -> None:
        layout, now, choices = self.layout, session.current(), context.scene.milo
        backend.draw_backend(layout, context, now)

        column = layout.column()
        column.enabled = now.job_state != "starting"
        column.prop(choices, "source")
        if choices.source == "PHOTOS":
            photos.draw_source(column, context, now)
        elif choices.source == "FOLDER":
            column.prop(choices, "folder", text="", placeholder="Folder of Photos and Cameras")
        else:
            frames.draw_cameras(column, context)
        column.prop(choices, "preset")

        outlook.draw_outlook(layout, context, now)
        draw_buttons(layout, context, now)
        draw_progress(layout, context, now)
        draw_trouble(layout, context, now)
        heartbeat.drawn()


def draw_buttons(layout: UILayout, context: Context, now: session.Session) -> None:
    row = side_by_side(layout, context)
    row.scale_y = 1.4
    if now.job_state in ("starting", *session.ACTIVE):
        row.operator("milo.pause", icon="PAUSE")
        row.operator("milo.cancel", icon="CANCEL")
        if now.job_state != "starting":
            row.operator("milo.reconstruct", text="", icon="ADD")
        return
    row.operator("milo.reconstruct", icon="MESH_MONKEY")
    if context.scene.milo.job and not now.has_all_of(context.scene):
        row.operator("milo.resume", icon="PLAY")
    if now.job_state == "paused":
        row.operator("milo.cancel", icon="CANCEL")


def draw_progress(layout: UILayout, context: Context, now: session.Session) -> None:
    if now.starting:
        stage = iface_(now.starting.stage)
        layout.progress(factor=now.starting.fraction, text=f"{stage} ({now.starting.fraction:.0%})")
        return
    if now.job_state == "starting":
        layout.label(text="Starting the backend", icon="SORTTIME")
        return
    info = now.job_info
    if info is None:
        return
    ahead = [job for job in now.job_list.moving if job.created < info.created]
    if now.job_state == "queued" and ahead:
        draw_text(layout, context, iface_("{}: waits for {} other").format(info.name, len(ahead)), "SORTTIME")
    elif now.job_state == "running":
        left = iface_(", {} left").format(words.duration(info.eta_s)) if info.eta_s is not None else ""
        share = info.iteration / info.iterations if info.iterations else 0.0
        layout.progress(factor=share, text=f"{iface_(words.stage(info.stage))}{left}")
    else:
        draw_text(layout, context, f"{info.name}: {iface_(now.job_state)}")
    column = layout.column(align=True)
    if info.iterations and now.job_state != "finished":
        draw_text(column, context, iface_("Iteration {} of {}").format(info.iteration, info.iterations))
    if info.gaussians:
        mesh = now.watch.mesh
        splats = words.count(info.gaussians)
        if mesh:
            text = iface_("{} splats, {} triangles").format(splats, words.count(mesh.triangles_full))
        else:
            text = iface_("{} splats, {} vertices").format(splats, words.count(info.vertices))
        draw_text(column, context, text)
    figures = [iface_("PSNR {:.1f} dB").format(info.psnr)] if info.psnr is not None else []
    if info.loss is not None and now.job_state == "running":
        figures.append(iface_("loss {:.4f}").format(info.loss))
    if figures:
        draw_text(column, context, ", ".join(figures))
    if info.note and now.job_state in session.ACTIVE and not info.mesh_seq:  # later in the panel Backend
        draw_text(layout, context, info.note, "MEMORY")
    if now.waiting:
        draw_text(column, context, now.waiting, "INFO")


def draw_trouble(layout: UILayout, context: Context, now: session.Session) -> None:
    trouble = now.trouble
    if trouble is None:
        return
    box = layout.box().column(align=True)
    draw_text(box, context, trouble.message, "ERROR", alert=True)
    draw_text(box, context, trouble.hint, "BLANK1")


CLASSES = (MILO_PT_main,)
