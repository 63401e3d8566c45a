# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras of the scene: those with a photo, and those that move, of which frames are to be taken first."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, UILayout

from ..scene import cameras, shots


def draw_cameras(layout: UILayout, context: Context) -> None:
    scene = context.scene
    found, moving = len(cameras.cameras_with_photo(scene)), shots.moving_cameras(scene)
    layout.label(text=iface_("{} cameras with a background image").format(found), icon="CAMERA_DATA")
    if not moving:
        return
    layout.label(text=iface_("{} moving cameras").format(len(moving)), icon="FILE_MOVIE")
    wanted = scene.milo.frames
    layout.row(align=True).prop(wanted, "choice", expand=True)
    row = layout.row(align=True)
    row.prop(wanted, "step" if wanted.choice == "EVERY" else "count")
    row.operator("milo.take_frames", icon="RENDERLAYERS")
