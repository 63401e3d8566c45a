# SPDX-License-Identifier: Apache-2.0
"""Photos and masks from disk: decoded once, resized once, kept as 8-bit.

Pixels are taken as stored: EXIF orientation is ignored, as COLMAP does, because the camera belongs to stored pixels.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from .errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def target_size(width: int, height: int, resolution: int = -1, max_width: int = 0) -> tuple[int, int]:
    """(width, height) at which a photo is used (spec training.md, 1.6).

    Args:
        width, height: of the image file, pixels.
        resolution: 1, 2, 4 or 8 divide (rounded); -1 caps the width at 1600; any other number is the target width
            (height truncated).
        max_width: a further cap on the width, 0 for none.
    """
    if resolution in (1, 2, 4, 8):
        width, height = round(width / resolution), round(height / resolution)
    elif resolution == -1:
        width, height = _of_width(width, height, min(width, 1600))
    elif resolution > 0:
        width, height = _of_width(width, height, resolution)
    else:
        raise ValueError(f"data.resolution is {resolution}: use -1, a divisor 1, 2, 4, 8, or a width in pixels.")
    if 0 < max_width < width:
        width, height = _of_width(width, height, max_width)
    return max(1, width), max(1, height)


def _of_width(width: int, height: int, wanted: int) -> tuple[int, int]:
    return wanted, int(height * wanted / width)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) from the file's header alone."""
    with opened(path) as image:
        return image.size


def read_photo(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A photo as rgb [H, W, 3] uint8, and its alpha [H, W] uint8 if it has one.

    Raises:
        ImageError: the file is missing, truncated or not an image.
    """
    with opened(path) as image:
        decode(image, path)
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        if image.mode.startswith("I;16") or image.mode == "I":
            grey = (np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2), None
        pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    return np.array(pixels[..., :3]), np.array(pixels[..., 3]) if has_alpha else None


def read_mask(path: Path) -> np.ndarray:
    """A mask [H, W] uint8, 255 inside: the alpha channel of an image that has one, else its grey value."""
    with opened(path) as image:
        decode(image, path)
        if image.mode.startswith("I;16") or image.mode == "I":
            return (np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
        return np.array(image.getchannel("A") if "A" in image.getbands() else image.convert("L"))


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] at another size, bicubic with antialiasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


# What Pillow is known to raise over damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error,
            Image.DecompressionBombError)


def opened(path: Path) -> Image.Image:
    """The image file, its pixels not decoded yet."""
    if not path.is_file():
        raise ImageError(path, "the image is missing", "Put it back, or leave it out of the scene")
    try:
        return Image.open(path)
    except _DAMAGED as error:
        raise ImageError(path, f"this is not a readable image ({_short(error)})", "Replace or remove it") from error


def decode(image: Image.Image, path: Path) -> None:
    """Decode all pixels now, so that a truncated file is found here."""
    try:
        image.load()
    except _DAMAGED as error:
        raise ImageError(path, f"the image is damaged ({_short(error)})", "Copy it again, or remove it") from error


def _short(error: Exception) -> str:
    return str(error).split(":")[0].split("\n")[0].rstrip(".") or type(error).__name__
