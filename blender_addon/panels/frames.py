# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras of the scene: those with a photo, and those that move, of which frames are to be taken first."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, UILayout

from ..scene import cameras, shots
from .look import draw_text, side_by_side


def draw_cameras(layout: UILayout, context: Context) -> None:
    scene = context.scene
    found, moving = len(cameras.cameras_with_photo(scene)), shots.moving_cameras(scene)
    draw_text(layout, context, iface_("Cameras with a photo: {}").format(found), "CAMERA_DATA")
    if not moving:
        return
    draw_text(layout, context, iface_("Moving cameras: {}").format(len(moving)), "FILE_MOVIE")
    wanted = scene.milo.frames
    layout.row(align=True).prop(wanted, "choice", expand=True)
    row = side_by_side(layout, context)
    row.prop(wanted, "step" if wanted.choice == "EVERY" else "count")
    row.operator("milo.take_frames", icon="RENDERLAYERS")
