# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera in the COLMAP convention: x right, y down, z forward, principal point kept.

Pixel (row r, column c) covers [c, c+1) x [r, r+1), so its centre is at (c + 0.5, r + 0.5) and a change of resolution
scales K without any half-pixel shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .errors import PoseError


@dataclass(frozen=True, eq=False)
class Camera:
    """A posed pinhole camera.

    Attributes:
        viewmat: [4, 4] float32, world to camera (column vectors).
        K: [3, 3] float32, pixels of an image of width x height.
        width, height: image size, pixels.
        name: image name, with its sub-folders and suffix.
    """

    viewmat: Tensor
    K: Tensor
    width: int
    height: int
    name: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), as the rasterisers take it."""
        return self.height, self.width

    @cached_property
    def exact(self) -> Camera:
        """The same camera in float64, as the mesh's kernels take it: with it they need not convert at every call."""
        return replace(self, viewmat=self.viewmat.double(), K=self.K.double())

    @property
    def center(self) -> Tensor:
        """[3] camera centre, world units: -R^T t."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    def resized(self, width: int, height: int) -> Camera:
        """The same view on an image of width x height pixels."""
        ratio = torch.tensor([[width / self.width], [height / self.height], [1.0]], device=self.K.device)
        return replace(self, K=self.K * ratio, width=width, height=height)

    def scaled(self, factor: float) -> Camera:
        """The same view at `factor` times the resolution (sizes are rounded, at least one pixel)."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def to(self, device: torch.device | str) -> Camera:
        """The camera with its tensors on `device`."""
        return replace(self, viewmat=self.viewmat.to(device), K=self.K.to(device))


def pinhole(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """K [3, 3] float64 from focal lengths and principal point, pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def rigid_viewmat(where: str, name: str, viewmat: np.ndarray) -> np.ndarray:
    """A world-to-camera matrix [4, 4], checked; its rotation is replaced by the nearest exact one.

    Raises:
        PoseError: it holds NaN or infinity, mirrors, scales or shears.
    """
    viewmat = np.asarray(viewmat, np.float64)
    hint = "Solve the cameras again, or leave this image out"
    if viewmat.shape != (4, 4):
        raise PoseError(where, f"the pose of {name} is not a 4 x 4 matrix but has shape {viewmat.shape}", hint)
    if not np.isfinite(viewmat).all():
        raise PoseError(where, f"the pose of {name} is not finite (NaN or infinity)", hint)
    u, scale, vt = np.linalg.svd(viewmat[:3, :3])
    rotation = u @ vt
    if np.abs(scale - 1).max() > 1e-2 or np.linalg.det(rotation) < 0:
        raise PoseError(where, f"the pose of {name} is not a rotation and a translation", hint)
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation, viewmat[:3, 3]
    return result


def checked_K(where: str, name: str, K: np.ndarray, width: int, height: int) -> np.ndarray:
    """Intrinsics [3, 3] float64, checked: finite, positive focal lengths, no skew, a positive image size.

    Raises:
        PoseError: one of these does not hold.
    """
    K = np.asarray(K, np.float64)
    hint = "Solve the cameras again"
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise PoseError(where, f"the intrinsics of {name} are not finite and positive", hint)
    if abs(K[0, 1]) > 1e-6 * K[0, 0] or np.abs(K[[1, 2, 2], [0, 0, 1]]).max() > 1e-6 or abs(K[2, 2] - 1) > 1e-6:
        raise PoseError(where, f"the intrinsics of {name} have skew or are not a pinhole's", hint)
    if width <= 0 or height <= 0:
        raise PoseError(where, f"the image size of {name} is {width} x {height}", hint)
    return K
