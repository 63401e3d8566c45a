# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos without cameras: choosing, checking, aligning; the report; the region of interest."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel, UILayout, UIList

from .. import session
from ..scene import cameras, pictures
from . import words
from .look import MiloPanel, draw_label, draw_text, is_narrow, side_by_side

VERDICT_ICONS = {"good": "CHECKMARK", "usable": "INFO", "poor": "ERROR"}
THUMBNAIL, LARGE = 2.0, 8.0  # scale of icons: in the list, and of the chosen photo
STATE_ICONS = {"UNKNOWN": "IMAGE_DATA", "FOUND": "CAMERA_DATA", "LOST": "CANCEL"}


def draw_source(layout: UILayout, context: Context, now: session.Session) -> None:
    """The choice of photos, the two buttons, progress, and what was found."""
    choices = context.scene.milo
    column = layout.column()
    column.enabled = not now.photos.busy
    column.row(align=True).prop(choices, "photo_kind", expand=True)
    if choices.photo_kind == "FOLDER":
        column.prop(choices, "photo_folder", text="", placeholder="Folder of Photos")
    else:
        column.prop(choices, "video", text="", placeholder="Video File")
        column.prop(choices, "video_frames")
    if now.photos.busy:
        row = layout.row(align=True)
        stage, share = now.photos.progress
        row.progress(factor=share, text=iface_(words.stage(stage)))
        row.operator("milo.cancel_photos", text="", icon="CANCEL")
    else:
        row = side_by_side(layout, context)
        row.operator("milo.check_photos", icon="VIEWZOOM")
        row.operator("milo.align", icon="OUTLINER_OB_CAMERA")
    if choices.solved is not None:
        found = len(cameras.cameras_with_photo(context.scene, choices.solved))
        row = side_by_side(layout, context)
        draw_label(row, context, iface_("{} of {} photos").format(found, choices.aligned_photos), "CAMERA_DATA")
        row.operator("milo.set_scale", icon="FIXED_SIZE")
        if "+" in choices.aligned_parts:
            text = iface_("The photos fall into parts that could not be joined ({}): only the first is here")
            draw_text(layout, context, text.format(choices.aligned_parts), "INFO")


class MILO_UL_photos(UIList):
    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:
        row = layout.row()
        if item.path:
            row.template_icon(pictures.thumbnail(item.path), scale=THUMBNAIL)
        column = row.column(align=True)
        column.alert = bool(item.problems) and not item.problems.startswith("small")
        column.label(text=item.name, icon=STATE_ICONS[item.state])
        figures = iface_("{} x {}, sharpness {:.2f}").format(item.width, item.height, item.sharpness)
        column.label(text=item.problems or figures)


class MILO_PT_report(MiloPanel, Panel):
    bl_idname = "MILO_PT_report"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Photo Report"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.scene.milo.source == "PHOTOS" and session.current().photos.report is not None

    def draw(self, context: Context) -> None:
        report, manager = session.current().photos.report, context.window_manager
        draw_text(self.layout, context, report.summary, VERDICT_ICONS[report.verdict])
        for sentence in (*report.advice, *report.coverage):
            draw_text(self.layout, context, sentence, "DOT")
        self.layout.template_list("MILO_UL_photos", "", manager, "milo_photos", manager, "milo_photo", rows=3)
        chosen = manager.milo_photos[manager.milo_photo] if 0 <= manager.milo_photo < len(manager.milo_photos) else None
        if chosen is not None and chosen.path:
            self.layout.template_icon(pictures.thumbnail(chosen.path), scale=LARGE)


class MILO_PT_region(MiloPanel, Panel):
    bl_idname = "MILO_PT_region"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Region"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, choices = self.layout, context.scene.milo
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        layout.prop(choices, "region")
        if choices.region is None:
            layout.operator("milo.add_region", icon="CUBE")
        else:
            layout.prop(choices, "crop_preview")
            layout.prop(choices, "keep_background")


CLASSES = (MILO_UL_photos, MILO_PT_report, MILO_PT_region)
