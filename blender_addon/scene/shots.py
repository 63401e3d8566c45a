# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras that move in front of an image sequence, a movie, or a clip whose camera was solved.

A frame here is a frame of the scene. Where its picture lies in a sequence follows Blender's own rules: those of image
users for background images, those of movie clips for clips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_

from .cameras import (
    MOVING,
    PHOTO_SUFFIXES,
    CameraError,
    check_placement,
    fit_to_photo,
    frame_size,
    intrinsics,
    shown_backgrounds,
    viewmat_of,
)

DISTORTION = {  # coefficients of each of Blender's lens models
    "POLYNOMIAL": ("k1", "k2", "k3"),
    "DIVISION": ("division_k1", "division_k2"),
    "NUKE": ("nuke_k1", "nuke_k2"),
    "BROWN": ("brown_k1", "brown_k2", "brown_k3", "brown_k4", "brown_p1", "brown_p2"),
}


@dataclass(frozen=True)
class Shot:
    """A moving camera and what lies behind it: a clip, or else an image with its user.

    Attributes:
        frames: of the scene, in order, that have a picture and a pose.
        size: width and height of the pictures, pixels.
    """

    camera: bpy.types.Object
    background: bpy.types.CameraBackgroundImage
    clip: bpy.types.MovieClip | None
    frames: tuple[int, ...]
    size: tuple[int, int]

    @property
    def is_distorted(self) -> bool:
        """Whether the clip knows of a lens distortion, which Blender is to take out."""
        if self.clip is None:
            return False
        lens = self.clip.tracking.camera
        return any(getattr(lens, name) for name in DISTORTION[lens.distortion_model])

    def file(self, frame: int) -> Path | None:
        """The photo of a frame as it lies on the disk; None if it has to be taken out of a movie or converted."""
        path = None if self.is_distorted else picture_file(self.clip, self.background, frame)
        known = {*PHOTO_SUFFIXES.values(), ".jpeg", ".tiff"}
        return path if path is not None and path.suffix.lower() in known else None

    def K(self, scene: bpy.types.Scene) -> np.ndarray:
        """[3, 3] pixels of the pictures, undistorted: of the clip's solved lens, else of the camera as it is now."""
        if self.clip and reconstruction_of(self.clip).is_valid:
            lens = self.clip.tracking.camera
            cx, cy = lens.principal_point_pixels
            focal = lens.focal_length_pixels
            return np.array(
                [[focal, 0.0, cx], [0.0, focal * lens.pixel_aspect, self.size[1] - cy], [0.0, 0.0, 1.0]]
            )
        width, height, aspect = frame_size(scene)
        frame_K = intrinsics(self.camera.data, width, height, aspect)
        return fit_to_photo(frame_K, (width, height), self.size, aspect, self.background.frame_method)


def shots(scene: bpy.types.Scene) -> list[Shot]:
    """The moving cameras of a scene, by name.

    Raises:
        CameraError: one cannot be used.
    """
    return [shot_of(camera, scene) for camera in moving_cameras(scene)]


def moving_cameras(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The cameras of a scene whose background is a sequence, a movie or a clip, by name."""
    cameras = (obj for obj in scene.objects if obj.type == "CAMERA" and moving_background(obj, scene) is not None)
    return sorted(cameras, key=lambda obj: obj.name)


def moving_background(
    camera: bpy.types.Object, scene: bpy.types.Scene
) -> bpy.types.CameraBackgroundImage | None:
    """The camera's visible background that is a sequence, a movie or a clip, or None."""
    for background in shown_backgrounds(camera):
        if background.source == "IMAGE" and background.image and background.image.source in MOVING:
            return background
        if background.source == "MOVIE_CLIP" and clip_of(background, scene):
            return background
    return None


def clip_of(background: bpy.types.CameraBackgroundImage, scene: bpy.types.Scene) -> bpy.types.MovieClip | None:
    return scene.active_clip if background.use_camera_clip else background.clip


def reconstruction_of(clip: bpy.types.MovieClip) -> bpy.types.MovieTrackingReconstruction:
    """What was solved of a clip's own camera."""
    return next(obj for obj in clip.tracking.objects if obj.is_camera).reconstruction


def shot_of(camera: bpy.types.Object, scene: bpy.types.Scene) -> Shot:
    """One moving camera.

    Raises:
        CameraError: its picture is missing or does not show what the camera sees, or its clip is not solved.
    """
    background = moving_background(camera, scene)
    check_placement(camera, background)
    clip = clip_of(background, scene) if background.source == "MOVIE_CLIP" else None
    frames = range(scene.frame_start, scene.frame_end + 1)
    if clip is None:
        user = background.image_user
        frames = [frame for frame in frames if image_number(user, frame) is not None]
    else:
        last = clip.frame_start + clip.frame_duration
        frames = [frame for frame in frames if clip.frame_start <= frame < last]
        if any(constraint.type == "CAMERA_SOLVER" and not constraint.mute for constraint in camera.constraints):
            solved = reconstruction_of(clip).cameras
            frames = [frame for frame in frames if solved.find_frame(frame=frame - clip.frame_start + 1)]
            if not frames:
                raise CameraError(
                    rpt_(
                        "The camera of clip {} is not solved: solve it in the Movie Clip Editor, or remove the Camera "
                        "Solver constraint of {}."
                    ).format(clip.name, camera.name)
                )
    if not frames:
        raise CameraError(
            rpt_("Camera {} has no pictures between frames {} and {} of the scene.").format(
                camera.name, scene.frame_start, scene.frame_end
            )
        )
    return Shot(camera, background, clip, tuple(frames), size_of(clip, background, frames))


def size_of(
    clip: bpy.types.MovieClip | None, background: bpy.types.CameraBackgroundImage, frames: list[int]
) -> tuple[int, int]:
    """Width and height of the pictures, pixels.

    Raises:
        CameraError: one of these frames is missing, or cannot be read.
    """
    source = clip or background.image
    if source.source == "MOVIE":
        path, size = bpy.path.abspath(source.filepath, library=source.library), tuple(source.size)
    else:
        files = [picture_file(clip, background, frame) for frame in frames]
        path = next((file for file in files if not file.is_file()), files[0])
        size = 0, 0
        if path.is_file():
            first = bpy.data.images.load(str(path))
            size = tuple(first.size)
            bpy.data.images.remove(first)
    if not all(size):
        raise CameraError(rpt_("{} is missing or cannot be read.").format(path))
    return size


def picture_file(
    clip: bpy.types.MovieClip | None, background: bpy.types.CameraBackgroundImage, frame: int
) -> Path | None:
    """The file of a sequence with the picture of a frame of the scene, None of a movie."""
    source = clip or background.image
    if source.source != "SEQUENCE":
        return None
    first = Path(bpy.path.abspath(source.filepath, library=source.library))
    if clip:
        return with_number(first, numbered(first)[1] + frame - clip.frame_start + clip.frame_offset)
    return with_number(first, image_number(background.image_user, frame))


def image_number(user: bpy.types.ImageUser, frame: int) -> int | None:
    """Number of the picture that a background image shows at a frame of the scene, None where it shows none new."""
    at = frame - user.frame_start + 1
    if user.use_cyclic and user.frame_duration:
        at = (at - 1) % user.frame_duration + 1
    return at + user.frame_offset if 1 <= at <= user.frame_duration else None


def numbered(path: Path) -> tuple[str, int, str, int]:
    """("shot_", 7, ".png", 4) of shot_0007.png: what is before the number, the number, what is after it, its digits.

    Raises:
        CameraError: there is no number in the name.
    """
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", path.name)
    if found is None:
        raise CameraError(rpt_("{} has no number in its name, as files of a sequence have.").format(path))
    return found[1], int(found[2]), found[3], len(found[2])


def with_number(path: Path, number: int) -> Path:
    """The file of a sequence with another number."""
    before, _, after, digits = numbered(path)
    return path.with_name(f"{before}{number:0{digits}d}{after}")


def pose_at(shot: Shot, scene: bpy.types.Scene, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera matrix [4, 4] and K [3, 3] at a frame; the scene is left at that frame."""
    scene.frame_set(frame)
    return viewmat_of(shot.camera), shot.K(scene)
