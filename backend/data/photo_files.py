# SPDX-License-Identifier: Apache-2.0
"""Photos as they come from a camera: a folder of files, with EXIF data, alpha or masks, not yet a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from .errors import ImageError, SceneError
from .images import SUFFIXES
from .masks import find_mask

RAW = {".heic", ".heif", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"}
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp")
_UPRIGHT = (None, 1)


@dataclass(frozen=True)
class PhotoFile:
    """A photo on disk.

    Attributes:
        name: posix path below the folder of photos, with suffix.
        path: of the file.
        mask: of a separate mask, or None.
    """

    name: str
    path: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Exif:
    """What a photo's EXIF data say, None where they say nothing."""

    orientation: int | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None      # equivalent on 36 x 24 mm film
    camera: str | None = None


def find_photos(folder: Path, masks: Path | None = None) -> list[PhotoFile]:
    """The photos of a folder, sorted by name: those in `folder`/images where there is such a folder, else all below it.

    Args:
        masks: folder of masks; `folder`/masks if None and there is one.

    Raises:
        SceneError: there is no such folder, or no photo in it that can be read.
    """
    if not folder.is_dir():
        raise SceneError(folder, "there is no such folder", "Check the path")
    masks = masks if masks is not None else folder / "masks"
    root = folder / "images" if (folder / "images").is_dir() else folder
    files = [path for path in sorted(root.rglob("*")) if path.is_file()
             and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    found = [path for path in files if path.suffix.lower() in SUFFIXES and not path.is_relative_to(masks)]
    if not found:
        raw = [path for path in files if path.suffix.lower() in RAW]
        what = f"there are no photos in it but {len(raw)} {raw[0].suffix} files" if raw else "there are no photos in it"
        raise SceneError(root, what, "Give a folder with JPEG, PNG, WebP, TIFF or BMP files" +
                         (": export the photos as JPEG first" if raw else ""))
    names = [path.relative_to(root).as_posix() for path in found]
    return [PhotoFile(name, path, find_mask(masks, name)) for name, path in zip(names, found)]


def read_exif(image: Image.Image) -> Exif:
    """The EXIF data of an opened image; damaged ones count as none."""
    try:
        top = image.getexif()
        more = top.get_ifd(ExifTags.IFD.Exif)
    except Exception:     # Pillow raises what it likes over damaged EXIF data, and nothing depends on them
        return Exif()
    base = ExifTags.Base
    camera = " ".join(str(top[tag]).strip("\0 ") for tag in (base.Make, base.Model) if tag in top)
    orientation = top.get(base.Orientation)
    return Exif(orientation if orientation in range(1, 9) else None, _number(more.get(base.FocalLength)),
                _number(more.get(base.FocalLengthIn35mmFilm)), camera or None)


def _number(value) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def open_photo(path: Path) -> Image.Image:
    """A photo, decoded.

    Raises:
        ImageError: it is damaged or no image.
    """
    try:
        image = Image.open(path)
        image.load()
    except Exception as error:     # Pillow raises what it likes over damaged files
        raise ImageError(path, f"this is not a readable image ({str(error)[:100] or type(error).__name__})",
                         "Copy it again, or remove it") from error
    return image


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says."""
    return image if read_exif(image).orientation in _UPRIGHT else ImageOps.exif_transpose(image)


def read_upright(photo: PhotoFile) -> tuple[np.ndarray, np.ndarray | None, Exif]:
    """rgb [H, W, 3] uint8 upright, its mask [H, W] uint8 (of its file, else its alpha) or None, and the EXIF data.

    Raises:
        ImageError: the photo or mask is damaged, or the mask has another shape.
    """
    image = open_photo(photo.path)
    exif = read_exif(image)
    image = upright(image)
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    rgb, mask = pixels[..., :3], pixels[..., 3] if has_alpha else None
    if mask is not None and mask.min() == 255:
        mask = None
    if photo.mask is not None:
        mask = read_upright_mask(photo.mask, exif.orientation, (rgb.shape[1], rgb.shape[0]))
    return rgb, mask, exif


def read_upright_mask(path: Path, orientation: int | None, size: tuple[int, int]) -> np.ndarray:
    """A mask [H, W] uint8 for an upright photo of `size` (width, height); masks may be stored as the photo is."""
    image = open_photo(path)
    image = upright(image)
    image = image.getchannel("A") if "A" in image.getbands() else image.convert("L")
    if image.size != size and image.size == size[::-1] and orientation in (5, 6, 7, 8):
        image = image.transpose({5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270,
                                 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}[orientation])
    if image.size != size:
        raise ImageError(path, f"the mask is {image.size[0]} x {image.size[1]} but its photo {size[0]} x {size[1]}",
                         "Make masks of the photos' size")
    return np.asarray(image)


def is_video(path: Path) -> bool:
    """Whether a path names a video file."""
    return path.suffix.lower() in VIDEOS and path.is_file()


def videos_in(folder: Path) -> Iterator[Path]:
    """The video files directly in a folder."""
    return (path for path in sorted(folder.iterdir()) if is_video(path))
