# SPDX-License-Identifier: GPL-3.0-or-later
"""Single frames of movies and clips as PNG files, decoded and undistorted by Blender's own sequencer.

Works in background and without a GPU. A scene that the user never sees holds the strip; it is removed at the end.
(The compositor undistorts too, but in 4.5 and 5.2 puts the picture down to three pixels beside its place.)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import bpy
import numpy as np

from .shots import DISTORTION, Shot, image_number, picture_file

MOST_CROPPED = 0.35  # of each side: an undistortion that needs more has no picture


class FrameWriter(AbstractContextManager):
    """Writes frames of a shot into a folder.

    Attributes:
        crop: (columns, rows) cut off on each side: there an undistortion only repeats the picture's border.
    """

    def __init__(self, shot: Shot, folder: Path):
        self.shot, self.folder = shot, folder
        self.crop = 0, 0
        self._scene = bpy.data.scenes.new("MILo frames")
        try:
            self._set_up()
        except BaseException:  # there is no __exit__ then
            bpy.data.scenes.remove(self._scene)
            raise

    def __exit__(self, *_error: object) -> None:
        bpy.data.scenes.remove(self._scene)

    def _set_up(self) -> None:
        shot, editor = self.shot, self._scene.sequence_editor_create()
        self._strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # strips since 4.4
        self._set_output()
        if shot.clip is not None:
            strip = self._strips.new_clip("clip", shot.clip, channel=1, frame_start=shot.clip.frame_start)
            strip.undistort = shot.is_distorted
        elif shot.background.image.source == "MOVIE":
            image = shot.background.image
            path = bpy.path.abspath(image.filepath, library=image.library)
            strip = self._strips.new_movie("movie", path, channel=1, frame_start=1)
            self._scene.render.fps, self._scene.render.fps_base = 1, 1.0 / strip.fps  # else frames are left out
        if shot.is_distorted:
            self._set_crop()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the files, pixels."""
        return self.shot.size[0] - 2 * self.crop[0], self.shot.size[1] - 2 * self.crop[1]

    def write(self, frame: int) -> Path:
        """Write the picture of a frame of the scene; the file."""
        at, still = self._place(frame)
        path = self._render(at).replace(self.folder / f"frame_{frame:06d}.png")
        if still is not None:
            self._strips.remove(still)
        if self.crop != (0, 0):
            (width, height), (x, y) = self.shot.size, self.crop
            write_rgba(path, read_rgba(path)[y : height - y, x : width - x])
        return path

    def _render(self, at: int) -> Path:
        """Write what the hidden scene shows at a frame of its own; the file."""
        render = self._scene.render
        render.resolution_x, render.resolution_y = self.shot.size
        self._scene.frame_start = self._scene.frame_end = at
        render.filepath = str(self.folder / "taken_######")
        bpy.ops.render.render(animation=True, scene=self._scene.name)
        return self.folder / f"taken_{at:06d}.png"

    def _place(self, frame: int) -> tuple[int, bpy.types.Strip | None]:
        """Where the hidden scene shows the picture of a frame, and the strip of that picture alone, if it has one."""
        shot = self.shot
        if shot.clip is not None:
            return frame, None
        if shot.background.image.source == "MOVIE":
            return image_number(shot.background.image_user, frame), None
        path = picture_file(None, shot.background, frame)
        return 1, self._strips.new_image("picture", str(path), channel=1, frame_start=1)

    def _set_output(self) -> None:
        """Colours come out as they went in."""
        render, view = self._scene.render, self._scene.view_settings
        self._scene.display_settings.display_device = "sRGB"
        view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0.0, 1.0
        render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
        render.image_settings.color_depth, render.dither_intensity = "8", 0.0
        render.resolution_percentage, render.use_sequencer, render.use_overwrite = 100, True, True

    def _set_crop(self) -> None:
        """Cut as much off each side as it takes to have picture everywhere: a white border, undistorted, tells."""
        width, height = self.shot.size
        frame = np.ones((height, width, 4), np.float32)
        frame[1:-1, 1:-1, :3] = 0.0
        path = self.folder / "border.png"
        write_rgba(path, frame)
        border = bpy.data.movieclips.load(str(path))
        copy_lens(self.shot.clip.tracking.camera, border.tracking.camera)
        strip = self._strips.new_clip("border", border, channel=2, frame_start=1)
        strip.undistort = True
        shown = self._render(1)
        empty = read_rgba(shown)[:, :, 0] > 0.25
        self._strips.remove(strip)
        bpy.data.movieclips.remove(border)
        path.unlink()
        shown.unlink()
        for share in np.arange(0.0, MOST_CROPPED, 0.5 / width):
            x, y = int(np.ceil(share * width)), int(np.ceil(share * height))
            if not empty[y + 1 : height - y - 1, x + 1 : width - x - 1].any():
                self.crop = x, y
                return


def copy_lens(source: bpy.types.MovieTrackingCamera, target: bpy.types.MovieTrackingCamera) -> None:
    """Give a clip the lens of another clip of the same size."""
    target.distortion_model = source.distortion_model
    target.sensor_width, target.pixel_aspect = source.sensor_width, source.pixel_aspect
    target.focal_length_pixels = source.focal_length_pixels
    target.principal_point_pixels = source.principal_point_pixels
    for name in DISTORTION[source.distortion_model]:
        setattr(target, name, getattr(source, name))


def read_rgba(path: Path) -> np.ndarray:
    """The pixels [H, W, 4] float32 of an image file, the lowest row first."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)


def write_rgba(path: Path, rgba: np.ndarray) -> None:
    """Write pixels [H, W, 4] float32, the lowest row first, as PNG."""
    image = bpy.data.images.new("MILo frame", rgba.shape[1], rgba.shape[0], alpha=True)
    image.pixels.foreach_set(np.ascontiguousarray(rgba, np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def sharpness(path: Path) -> float:
    """How much fine detail a picture has, to compare pictures of the same thing: the mean square of its Laplacian."""
    grey = read_rgba(path)[:, :, :3].mean(axis=2)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float((laplacian**2).mean())
