# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the splats: the camera to ask for, and the answer as a Blender image."""

from __future__ import annotations

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

from . import asset
from .cameras import CameraError, frame_size, intrinsics, viewmat_of

NAME = "MILo splats"


def splat_camera(
    scene: bpy.types.Scene, placed: bpy.types.Object
) -> tuple[np.ndarray, np.ndarray, tuple[int, int], float]:
    """The scene camera as the splats see it, now that their mesh object, or their asset, was moved, turned or scaled.

    Returns viewmat [4, 4] (rest world -> camera, rigid), K [3, 3], (width, height), and the object's scale, by which
    depths of the picture are to be multiplied.

    Raises:
        CameraError: no perspective scene camera, or the object is stretched.
    """
    camera = scene.camera
    if camera is None:
        raise CameraError("The scene has no camera: add one, and make it the scene's active camera.")
    if camera.data.type != "PERSP":
        raise CameraError(rpt_("Camera {} is not a perspective camera, which splats need.").format(camera.name))
    world = np.array(placed.matrix_world) @ asset.place_of(placed)
    viewmat, scale = rigid_viewmat(viewmat_of(camera), world, placed.name)
    width, height, aspect = frame_size(scene)
    return viewmat, intrinsics(camera.data, width, height, aspect), (width, height), scale


def rigid_viewmat(viewmat: np.ndarray, world: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """viewmat @ world with the uniform scale taken out: the picture is the same, and splats need a rigid camera.

    Raises:
        CameraError: `world` [4, 4] is not a rigid move and a uniform positive scale.
    """
    linear = world[:3, :3]
    determinant = np.linalg.det(linear)
    scale = np.cbrt(determinant)
    if determinant <= 0 or not np.allclose(linear.T @ linear, scale**2 * np.eye(3), rtol=0, atol=1e-4 * scale**2):
        raise CameraError(
            rpt_(
                "{} is stretched, sheared or mirrored: splats follow moves, rotations and uniform scale for now. Make "
                "its three scales equal and positive."
            ).format(name)
        )
    moved = viewmat @ world
    moved[:3] /= scale
    return moved, float(scale)


def write_image(rgba: np.ndarray) -> bpy.types.Image:
    """Show a picture [H, W, 4] uint8 sRGB (top row first) as the image "MILo splats"; made once, then reused."""
    height, width = rgba.shape[:2]
    image = bpy.data.images.get(NAME)
    if image is None or image.source != "GENERATED":
        image = bpy.data.images.new(NAME, width, height, alpha=True)
    elif tuple(image.size) != (width, height):
        image.scale(width, height)
    pixels = rgba[::-1].astype(np.float32) / 255.0
    image.pixels.foreach_set(np.ascontiguousarray(pixels).ravel())
    image.update()
    return image
