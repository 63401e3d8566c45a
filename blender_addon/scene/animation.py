# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of deformed surfaces and cameras, one for each frame, for `milo render-animation`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_

from ..protocol.surfaces import AnimationWriter, Frame
from .cameras import CameraError, frame_size, intrinsics, viewmat_of
from .surface import followers, jobs_of, read_surface


def save_animation(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, path: Path) -> Iterator[tuple[int, int]]:
    """Write the scene's frames into a file; yields (frames done, of) after each.

    The scene is on its former frame again afterwards, also where the iterator is closed early; then there is no file.

    Raises:
        CameraError: no perspective scene camera. SurfaceError: no mesh with splats.
    """
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    before = scene.frame_current, scene.frame_subframe
    jobs = jobs_of(scene, scene.milo.job)
    width, height, aspect = frame_size(scene)
    held = None
    try:
        with AnimationWriter(path, (height, width)) as writer:
            for done, number in enumerate(frames, 1):
                scene.frame_set(number)
                camera = scene.camera
                if camera is None or camera.data.type != "PERSP":
                    raise CameraError(rpt_("Frame {}: the scene needs an active perspective camera.").format(number))
                surface, pose = read_surface(followers(scene), view_layer.depsgraph, jobs)
                if held is None or held.hash != surface.hash:
                    held = surface
                K = intrinsics(camera.data, width, height, aspect)
                writer.add(Frame(number, viewmat_of(camera), K, held, pose))
                yield done, len(frames)
    finally:
        scene.frame_set(before[0], subframe=before[1])
