# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's cameras and views as the pinhole cameras that splats are drawn with, and pictures as Blender wants them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

from ..protocol.surfaces import Pose
from .cameras import FLIP_YZ, CameraError

FAR_OFF = 1000.0  # an orthographic view is drawn from this many radii away: 0.1 % of perspective is left
EMPTY = 1e10  # Blender's depth where there is nothing


@dataclass(frozen=True)
class View:
    """Where Blender looks from.

    world_to_view, projection: [4, 4] float64 as in Blender (looking along -z, y up; OpenGL's clip space).
    size: (width, height) in pixels of the whole picture; crop: (left, top, width, height) of the part to draw.
    """

    world_to_view: np.ndarray
    projection: np.ndarray
    size: tuple[int, int]
    crop: tuple[int, int, int, int]

    def same_as(self, other: View | None) -> bool:
        return (
            other is not None
            and (self.size, self.crop) == (other.size, other.crop)
            and np.array_equal(self.world_to_view, other.world_to_view)
            and np.array_equal(self.projection, other.projection)
        )

    def pinhole(self, pose: Pose, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, int, int, float]:
        """The camera for a picture whose sides are `scale` times those of the crop.

        Returns viewmat [4, 4], K [3, 3], width, height, and how much farther away than from the view everything is:
        more than 0 for orthographic views, which a pinhole far away with a long lens stands in for.
        """
        viewmat, P = FLIP_YZ @ self.world_to_view, self.projection
        left, top, width, height = self.crop
        halves = np.array(self.size) / 2
        farther = 0.0
        if P[3, 3] == 0:
            focal = np.array([P[0, 0], P[1, 1]]) * halves
            centre = halves * [1 - P[0, 2], 1 + P[1, 2]]
        else:
            middle, radius = _extent(pose)
            distance = FAR_OFF * radius
            farther = distance - (viewmat @ [*middle, 1.0])[2]
            viewmat = viewmat.copy()
            viewmat[2, 3] += farther
            focal = np.array([P[0, 0], P[1, 1]]) * halves * distance
            centre = halves * [1 + P[0, 3], 1 - P[1, 3]]
        small = max(1, round(width * scale)), max(1, round(height * scale))
        ratio = np.array(small) / [width, height]
        fx, fy = focal * ratio
        cx, cy = (centre - [left, top]) * ratio
        return viewmat, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), *small, farther


def _extent(pose: Pose) -> tuple[np.ndarray, float]:
    """Middle and radius in the world of what a pose puts there. All vertices are taken through all matrices: that is
    more than there is, and enough for a distance."""
    low, high = pose.positions.min(0), pose.positions.max(0)
    corners = np.array([[*corner, 1.0] for corner in itertools.product(*zip(low, high))])
    world = (pose.matrices.astype(float) @ corners.T)[:, :3].transpose(0, 2, 1).reshape(-1, 3)
    low, high = world.min(0), world.max(0)
    return (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-6)


def frame_view(
    scene: bpy.types.Scene, camera: bpy.types.Object | None, depsgraph: bpy.types.Depsgraph, size: tuple[int, int]
) -> View:
    """What a camera (evaluated) sees in a frame of `size` pixels, of which the scene's border is drawn if there is one.

    Raises:
        CameraError: there is no camera, or it is panoramic.
    """
    if camera is None:
        raise CameraError(rpt_("The scene has no camera: add one, and make it the scene's active camera."))
    if camera.data.type not in ("PERSP", "ORTHO"):
        kind = camera.data.type.title()
        text = rpt_("Camera {} is {}: splats need Perspective or Orthographic.")
        raise CameraError(text.format(camera.name, kind))
    render, (width, height) = scene.render, size
    projection = camera.calc_matrix_camera(
        depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
    )
    crop = (0, 0, width, height)
    if render.use_border:
        # In single precision, as Blender itself finds the pixels.
        x0, x1 = (int(np.float32(edge) * np.float32(width)) for edge in (render.border_min_x, render.border_max_x))
        y0, y1 = (int(np.float32(edge) * np.float32(height)) for edge in (render.border_min_y, render.border_max_y))
        crop = (x0, height - y1, x1 - x0, y1 - y0)
    return View(np.array(camera.matrix_world.normalized().inverted()), np.array(projection), size, crop)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Colours in 0..1 from sRGB to scene linear."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def from_linear(linear: np.ndarray) -> np.ndarray:
    """Colours in 0..1 from scene linear to sRGB."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def linear_rgba(exact: np.ndarray, transparent: bool) -> np.ndarray:
    """A picture [H, W, 4] float32 in sRGB, over black if it is `transparent`, as linear premultiplied colours."""
    rgba = np.ones_like(exact)
    if transparent:
        alpha = exact[..., 3:]
        rgba[..., :3] = to_linear((exact[..., :3] / np.maximum(alpha, 1e-6)).clip(0, 1)) * alpha
        rgba[..., 3:] = alpha
    else:
        rgba[..., :3] = to_linear(exact[..., :3])
    return rgba
