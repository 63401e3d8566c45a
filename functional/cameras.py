# SPDX-License-Identifier: Apache-2.0
"""Cameras of other programs as ours: world-to-camera and intrinsics, any principal point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera, perhaps with its photo. x right, y down, z forward; a pixel's centre is at + 0.5.

    Attributes:
        viewmat: [4, 4] float32, world to camera, column vectors.
        K: [3, 3] float32, pixels.
        width, height: pixels.
        image: [3, H, W] in [0, 1], or None.
        mask: [H, W] uint8, 255 = object, or None.
    """

    viewmat: Tensor
    K: Tensor
    width: int
    height: int
    image: Tensor | None = None
    mask: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def center(self) -> Tensor:
        """[3] world units."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    @cached_property
    def exact(self) -> Camera:
        """The same camera in float64, as the mesh's kernels take it."""
        return replace(self, viewmat=self.viewmat.double(), K=self.K.double())

    @property
    def camera(self) -> Camera:
        """Itself: what a view of ours has."""
        return self

    def target(self, background: Tensor) -> Tensor:
        """The photo [3, H, W]; background is not needed."""
        if self.image is None:
            raise ValueError("This view has no image: give its camera one to take colours from.")
        return self.image.to(background.device, torch.float32).contiguous()


def as_camera(view: Any) -> Camera:
    """A camera of another program as ours.

    Understood are, by what they have:
        viewmat, K, width, height (ours; gsplat's arguments in any object): K keeps its principal point;
        camera, with these (views of milo.backend.data);
        world_view_transform (transposed 4 x 4), FoVx, FoVy, image_width, image_height (3DGS and its descendants).
    An image is taken from `original_image` or `image`.

    Raises:
        ValueError: none of these.
    """
    if isinstance(view, Camera):
        return view
    if hasattr(view, "camera"):
        camera = view.camera
        picture = view.target(torch.zeros(3, device=camera.viewmat.device)) if hasattr(view, "target") else None
        return Camera(camera.viewmat, camera.K, camera.width, camera.height, picture, getattr(view, "mask", None))
    image = getattr(view, "original_image", getattr(view, "image", None))
    image = image[:3] if isinstance(image, Tensor) and image.ndim == 3 else None
    if all(hasattr(view, name) for name in ("viewmat", "K", "width", "height")):
        return Camera(view.viewmat.float(), view.K.float(), int(view.width), int(view.height), image)
    if all(hasattr(view, name) for name in ("world_view_transform", "FoVx", "FoVy", "image_width", "image_height")):
        width, height = int(view.image_width), int(view.image_height)
        viewmat = view.world_view_transform.T.float()
        K = _pinhole(width / (2 * math.tan(view.FoVx / 2)), height / (2 * math.tan(view.FoVy / 2)), width / 2,
                     height / 2)
        return Camera(viewmat, K.to(viewmat.device), width, height, image)
    raise ValueError(f"A {type(view).__name__} is no camera: it needs viewmat, K, width and height, or what the "
                     "cameras of 3DGS have.")


def colmap_camera(quat: Sequence[float], translation: Sequence[float], model: str, params: Sequence[float], width: int,
                  height: int, image: Tensor | None = None) -> Camera:
    """A camera from COLMAP's records: world-to-camera rotation (w, x, y, z) and translation, PINHOLE or SIMPLE_PINHOLE.

    Raises:
        ValueError: another model; undistort the photos first.
    """
    if model not in ("PINHOLE", "SIMPLE_PINHOLE"):
        raise ValueError(f"Camera model {model} has lens distortion: undistort the photos first.")
    fx, fy, cx, cy = params if model == "PINHOLE" else (params[0], *params)
    w, x, y, z = torch.nn.functional.normalize(torch.tensor(quat, dtype=torch.float64), dim=0).tolist()
    viewmat = torch.eye(4)
    viewmat[:3, :3] = torch.tensor([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
    viewmat[:3, 3] = torch.tensor(translation)
    return Camera(viewmat, _pinhole(fx, fy, cx, cy), width, height, image)


def scene_extent(views: Sequence) -> float:
    """1.1 times the largest distance of a camera from the mean of all, world units."""
    centers = torch.stack([as_camera(view).center.double() for view in views])
    return 1.1 * float((centers - centers.mean(0)).norm(dim=1).max())


def _pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)
