# SPDX-License-Identifier: Apache-2.0
"""A scene ready for training: posed photos in memory, held-out photos, and initial points.

World coordinates are the scene's own: never shifted or scaled. Nothing is written into the scene's folder.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from milo.cuda_ext.composite import composite

from ..config import DataConfig
from .camera_set import is_camera_set, read_camera_set
from .cameras import Camera
from .colmap import read_colmap
from .errors import ImageError, PoseError, SceneError, listed
from .images import read_mask, read_photo, resize, target_size
from .masks import premultiply, shows_background
from .posed import PosedImage, PosedImages, read_held_out
from .transforms import is_transforms, read_transforms

HOLDOUT_EVERY = 8  # every 8th image of the name-sorted list is a test view (spec training.md, 1.4)


@dataclass(frozen=True, eq=False)
class View:
    """A posed photo.

    Attributes:
        camera: at the resolution of the photo.
        uid: index in its list (Scene.train or Scene.test), the same at every resolution.
        image: [H, W, 3] uint8; composited on black where there is a mask.
        mask: [H, W] uint8, 255 = object, or None.
    """

    camera: Camera
    uid: int
    image: Tensor
    mask: Tensor | None = None

    def target(self, background: Tensor) -> Tensor:
        """What a render over `background` [3] should look like: [3, H, W] float32 on background's device."""
        device, streamed = background.device, {"non_blocking": background.is_cuda}
        mask = None if self.mask is None else self.mask.to(device, **streamed)
        return composite(self.image.to(device, **streamed), mask, background.float())

    def half(self) -> View:
        """The same view at half the resolution (sizes rounded down), made anew at each call."""
        width, height = max(1, self.camera.width // 2), max(1, self.camera.height // 2)
        camera = self.camera.resized(width, height)
        return View(camera, self.uid, *(_resized(picture, width, height) for picture in (self.image, self.mask)))

    def to(self, device: torch.device | str, pictures: torch.device | str | None = None) -> View:
        """The view with its camera on `device`, and its pictures there or on `pictures`.

        For a GPU whose pictures stay on the CPU they are put into pinned memory, from which copies do not wait.
        """
        pictures = torch.device(device if pictures is None else pictures)
        pinned = pictures.type == "cpu" and torch.device(device).type == "cuda"

        def moved(picture: Tensor | None) -> Tensor | None:
            if picture is None or pinned:
                return None if picture is None else picture.pin_memory()
            return picture.to(pictures, non_blocking=pictures.type == "cuda")

        return View(self.camera.to(device), self.uid, moved(self.image), moved(self.mask))


def _resized(picture: Tensor | None, width: int, height: int) -> Tensor | None:
    """A picture at another size, in the same place."""
    if picture is None:
        return None
    smaller = torch.from_numpy(resize(picture.cpu().numpy(), width, height))
    return smaller.pin_memory() if picture.is_pinned() else smaller.to(picture.device)


@dataclass(frozen=True, eq=False)
class Scene:
    """Posed photos and initial points.

    Attributes:
        name: of the scene's folder.
        path: the scene's folder.
        train, test: views sorted by name; uid is the index in its list.
        points: [P, 3] float64, world units.
        colors: [P, 3] uint8.
        notes: what the user should know about how the scene was read, sentences.
    """

    name: str
    path: Path
    train: list[View]
    test: list[View]
    points: np.ndarray
    colors: np.ndarray
    notes: tuple[str, ...] = ()

    @cached_property
    def extent(self) -> float:
        """1.1 times the largest distance of a training camera from their mean, world units (spec training.md, 1.5)."""
        return camera_extent([view.camera for view in self.train])

    def to(self, device: torch.device | str, pictures: torch.device | str | None = None) -> Scene:
        """The scene with its views on `device`, as `View.to`; points and colours are arrays, and stay."""
        return replace(self, train=[view.to(device, pictures) for view in self.train],
                       test=[view.to(device, pictures) for view in self.test])


def camera_extent(cameras: list[Camera]) -> float:
    """1.1 times the largest distance of a camera centre from the mean of all, world units."""
    centers = torch.stack([camera.center.double() for camera in cameras])
    return 1.1 * float((centers - centers.mean(0)).norm(dim=1).max())


def load_scene(path: str | Path, config: DataConfig | None = None) -> Scene:
    """Read a scene folder: COLMAP (sparse/), transforms.json or a camera set (cameras.json), in this order.

    Args:
        path: the folder.
        config: what to read and how; defaults where None.

    Raises:
        SceneError: there is no such folder or scene in it, or something in it is wrong; the message says what to do.
    """
    path, config = Path(path), config or DataConfig()
    posed = read_posed(path, config)
    held_out = _held_out(path, posed, config)
    train = [image for image in posed.images if image.name not in held_out]
    test = [image for image in posed.images if image.name in held_out]
    if len(train) < 2:
        raise SceneError(path, f"there are {len(train)} training images; a reconstruction needs at least 2",
                         "Add photos, or set data.holdout=false to keep none for testing")
    views = _load_views(path, train + test, config)
    train_views = [View(camera, uid, *pixels) for uid, (camera, *pixels) in enumerate(views[: len(train)])]
    test_views = [View(camera, uid, *pixels) for uid, (camera, *pixels) in enumerate(views[len(train) :])]
    scene = Scene(path.resolve().name, path, train_views, test_views, posed.points, posed.colors, posed.notes)
    if scene.extent == 0:
        raise PoseError(posed.where, "all cameras stand in the same place", "Take the photos from different places")
    return scene


def read_posed(path: Path, config: DataConfig) -> PosedImages:
    """The posed image files and points of a scene folder; no photo is decoded yet."""
    if not path.is_dir():
        raise SceneError(path, "there is no such folder", "Check the path")
    if not any(path.iterdir()):
        raise SceneError(path, "the folder is empty", "Give the folder that holds images/ and sparse/")
    if (path / "sparse").is_dir():
        return read_colmap(path, config.images, config.masks)
    if is_transforms(path):
        return read_transforms(path, config.images, config.masks)
    if is_camera_set(path):
        return read_camera_set(path, config.images, config.masks)
    raise SceneError(path, "no cameras are in it: neither sparse/ (COLMAP) nor transforms.json nor cameras.json",
                     "Solve the cameras first, for example with COLMAP")


def _held_out(path: Path, posed: PosedImages, config: DataConfig) -> frozenset[str]:
    if not config.holdout:
        return frozenset()
    named = posed.held_out if posed.held_out is not None else read_held_out(path / "test.txt", posed.images)
    if named is not None:
        return named
    if len(posed.images) < HOLDOUT_EVERY:
        return frozenset()
    return frozenset(image.name for image in posed.images[::HOLDOUT_EVERY])


def _load_views(path: Path, images: list[PosedImage], config: DataConfig) -> list[tuple]:
    """(camera, image, mask) of each image, decoded in parallel, colours premultiplied where there is a mask."""
    unmasked = [image.name for image in images if image.mask is None]
    if 0 < len(unmasked) < len(images):
        raise ImageError(path / config.masks, f"{len(unmasked)} of {len(images)} images have no mask: "
                         f"{listed(unmasked)}", "Add the masks, or remove the folder")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        loaded = list(pool.map(lambda image: _load_view(image, config), images))
    masked = [pixels for _, *pixels, straight in loaded if pixels[1] is not None and not straight]
    cut = bool(masked) and (not config.premultiplied or shows_background(*zip(*masked)))
    views = []
    for camera, rgb, mask, straight in loaded:
        if mask is not None and (straight or cut):
            rgb = premultiply(rgb, mask)
        views.append((camera, torch.from_numpy(rgb), None if mask is None else torch.from_numpy(mask)))
    return views


def _intrinsics(posed: PosedImage, config: DataConfig) -> np.ndarray:
    K = posed.K.copy()
    if config.center_principal_point:
        K[:2, 2] = posed.width / 2, posed.height / 2
    return K


def _load_view(posed: PosedImage, config: DataConfig):
    """(camera, rgb, mask, whether the mask is the image's own alpha: then rgb is straight)."""
    rgb, alpha = read_photo(posed.path)
    file_height, file_width = rgb.shape[:2]
    if abs(file_width * posed.height - file_height * posed.width) > 0.01 * file_width * posed.height + file_width:
        raise ImageError(posed.path, f"the photo is {file_width} x {file_height} but its camera "
                         f"{posed.width} x {posed.height}: another shape",
                         "Use the photos that the cameras were solved with, unrotated")
    mask = alpha if posed.mask is None else read_mask(posed.mask)
    if mask is not None and mask.shape != rgb.shape[:2]:
        raise ImageError(posed.mask, f"the mask is {mask.shape[1]} x {mask.shape[0]} but its photo {file_width} x "
                         f"{file_height}", "Make masks of the photos' size")
    width, height = target_size(file_width, file_height, config.resolution, config.max_width)
    camera = Camera(
        torch.from_numpy(posed.viewmat).float(),
        torch.from_numpy(_intrinsics(posed, config)).float(),
        posed.width,
        posed.height,
        posed.name,
    ).resized(width, height)
    mask = None if mask is None else resize(mask, width, height)
    return camera, resize(rgb, width, height), mask, posed.mask is None and alpha is not None
