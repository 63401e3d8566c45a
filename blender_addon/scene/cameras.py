# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras of a Blender scene as computer vision sees them, and the photos that lie behind them.

viewmat: world to camera, x right, y down, z forward (Blender's cameras look along -z with y up).
K: pixels, pixel (row r, column c) covers [c, c+1) x [r, r+1); the principal point follows the lens shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
MOVING = ("SEQUENCE", "MOVIE")  # images that are other pictures at other frames
PHOTO_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp"}


class CameraError(Exception):
    """A camera or its photo cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class PhotoCamera:
    """A camera and its photo: a file on disk, or the bytes packed in the .blend."""

    name: str
    width: int
    height: int
    K: np.ndarray  # [3, 3] float64, pixels of the photo
    viewmat: np.ndarray  # [4, 4] float64
    source: Path | bytes
    mask: Path | None = None


def viewmat_of(camera: bpy.types.Object) -> np.ndarray:
    """World-to-camera matrix [4, 4] float64. A camera object's own scale does not count, as in Blender."""
    return FLIP_YZ @ np.array(camera.matrix_world.normalized().inverted())


def intrinsics(camera: bpy.types.Camera, width: int, height: int, pixel_aspect: float = 1.0) -> np.ndarray:
    """K [3, 3] float64 of a perspective camera for a frame of width x height pixels.

    pixel_aspect: height of a pixel over its width (render.pixel_aspect_y / pixel_aspect_x).
    """
    vertical = camera.sensor_fit == "VERTICAL"
    sensor = camera.sensor_height if vertical else camera.sensor_width
    if camera.sensor_fit == "AUTO":
        vertical = width < pixel_aspect * height
    fitted = pixel_aspect * height if vertical else width  # the side the sensor is fitted to, in pixel widths
    fx = camera.lens / sensor * fitted
    cx = width / 2 - camera.shift_x * fitted
    cy = height / 2 + camera.shift_y * fitted / pixel_aspect
    return np.array([[fx, 0.0, cx], [0.0, fx / pixel_aspect, cy], [0.0, 0.0, 1.0]])


def frame_size(scene: bpy.types.Scene) -> tuple[int, int, float]:
    """Width and height of the rendered frame in pixels (resolution percentage included), and the pixel aspect."""
    render = scene.render
    width = int(render.resolution_x * render.resolution_percentage / 100)
    height = int(render.resolution_y * render.resolution_percentage / 100)
    return width, height, render.pixel_aspect_y / render.pixel_aspect_x


def photo_cameras(scene: bpy.types.Scene, among: bpy.types.Collection | None = None) -> list[PhotoCamera]:
    """Every camera of the scene (or of a collection in it) that has a background image, in the order of their names.

    Raises:
        CameraError: there is none, or one cannot be used.
    """
    with_photo = cameras_with_photo(scene, among)
    if not with_photo:
        raise CameraError(
            rpt_(
                "No camera of scene {} has a background image: give each camera its photo under Camera properties > "
                "Background Images."
            ).format(scene.name)
        )
    bpy.context.view_layer.update()
    return [photo_camera(obj, scene) for obj in with_photo]


def cameras_with_photo(
    scene: bpy.types.Scene, among: bpy.types.Collection | None = None
) -> list[bpy.types.Object]:
    """The cameras of a scene (or of a collection in it) that show a background image, sorted by name."""
    objects = scene.objects if among is None else among.all_objects
    cameras = (obj for obj in objects if obj.type == "CAMERA" and background_of(obj) is not None)
    return sorted(cameras, key=lambda obj: obj.name)


def background_of(camera: bpy.types.Object) -> bpy.types.CameraBackgroundImage | None:
    """The camera's visible background photo, or None. What moves is no photo: shots.py."""
    stills = (bg for bg in shown_backgrounds(camera) if bg.source == "IMAGE" and bg.image)
    return next((bg for bg in stills if bg.image.source not in MOVING), None)


def shown_backgrounds(camera: bpy.types.Object) -> list[bpy.types.CameraBackgroundImage]:
    """The backgrounds that the camera shows."""
    return list(camera.data.background_images) if camera.data.show_background_images else []


def check_placement(camera: bpy.types.Object, background: bpy.types.CameraBackgroundImage) -> None:
    """A background must show what the camera sees.

    Raises:
        CameraError: it is moved, scaled, rotated or flipped, or the camera has no perspective.
    """
    if camera.data.type != "PERSP":
        raise CameraError(rpt_("Camera {} is not a perspective camera, which MILo needs.").format(camera.name))
    moved = tuple(background.offset) != (0.0, 0.0) or background.scale != 1.0 or background.rotation != 0.0
    if moved or background.use_flip_x or background.use_flip_y:
        raise CameraError(
            rpt_(
                "The background image of camera {} is moved, scaled, rotated or flipped, so it does not show what the "
                "camera sees: reset its offset, rotation, scale and flips."
            ).format(camera.name)
        )


def photo_camera(camera: bpy.types.Object, scene: bpy.types.Scene) -> PhotoCamera:
    """One camera with its background image."""
    name, data, background = camera.name, camera.data, background_of(camera)
    check_placement(camera, background)
    width, height, source = photo_of(background.image, name)
    if camera.milo.solved and tuple(camera.milo.photo_size) == (width, height):
        K = np.array(camera.milo.photo_K, np.float64).reshape(3, 3)  # as it was solved, whatever the frame is now
    else:
        frame_w, frame_h, aspect = frame_size(scene)
        frame_K = intrinsics(data, frame_w, frame_h, aspect)
        K = fit_to_photo(frame_K, (frame_w, frame_h), (width, height), aspect, background.frame_method)
    suffix = PHOTO_SUFFIXES[background.image.file_format]
    mask = Path(bpy.path.abspath(camera.milo.mask)) if camera.milo.mask else None
    if mask is not None and not mask.is_file():
        raise CameraError(rpt_("The mask of camera {} is missing: {}. Align the photos again.").format(name, mask))
    return PhotoCamera(bpy.path.clean_name(name) + suffix, width, height, K, viewmat_of(camera), source, mask)


def fit_to_photo(
    K: np.ndarray, frame: tuple[int, int], photo: tuple[int, int], pixel_aspect: float, method: str
) -> np.ndarray:
    """K of the camera's frame -> K of a photo that lies in that frame by STRETCH, FIT or CROP."""
    ratio_x = photo[0] / frame[0]  # photo pixels per frame pixel
    ratio_y = photo[1] / frame[1]
    if method != "STRETCH":  # the photo keeps its square pixels and fits inside the frame, or covers it
        across, down = photo[0] / frame[0], photo[1] / (frame[1] * pixel_aspect)
        ratio_x = max(across, down) if method == "FIT" else min(across, down)
        ratio_y = ratio_x * pixel_aspect
    to_photo = np.array(
        [
            [ratio_x, 0.0, photo[0] / 2 - ratio_x * frame[0] / 2],
            [0.0, ratio_y, photo[1] / 2 - ratio_y * frame[1] / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    return to_photo @ K


def photo_of(image: bpy.types.Image, camera: str) -> tuple[int, int, Path | bytes]:
    """Width, height, and where the photo's bytes are."""
    if image.source != "FILE":
        raise CameraError(
            rpt_(
                "The background image {} of camera {} is a {}, not a still photo from a file: save it as PNG or JPEG "
                "and choose that file."
            ).format(image.name, camera, image.source.lower())
        )
    path = Path(bpy.path.abspath(image.filepath, library=image.library)) if image.filepath else None
    packed = bytes(image.packed_file.data) if image.packed_file else None
    if packed is None and (path is None or not path.is_file()):
        raise CameraError(
            rpt_("The photo of camera {} is missing: {}. Choose File > External Data > Find Missing Files.").format(
                camera, path or image.name
            )
        )
    width, height = image.size
    if not (width and height):
        raise CameraError(
            rpt_("The photo of camera {} cannot be read: {} is damaged or no image.").format(camera, path or image.name)
        )
    if image.is_dirty:
        raise CameraError(
            rpt_("The photo of camera {} has unsaved changes: save the image {} first.").format(camera, image.name)
        )
    if image.file_format not in PHOTO_SUFFIXES:
        raise CameraError(
            rpt_("The photo of camera {} is {}: MILo reads JPEG, PNG, WebP, TIFF and BMP.").format(
                camera, image.file_format
            )
        )
    return width, height, packed if packed is not None else path
