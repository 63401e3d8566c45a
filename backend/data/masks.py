# SPDX-License-Identifier: Apache-2.0
"""Separate mask files beside the photos, and what they mean.

A view with a mask keeps its colours *premultiplied*, i.e. composited on black, so that
`target = colour + (1 - alpha) * background`. Where colours come from:

- the alpha channel of an image file is straight, as PNG defines it: colours are multiplied by it at loading;
- photos with separate masks are taken to be composited on black already (`data.premultiplied`, the default). Where
  they plainly are not, because they show colour outside their masks, they are cut out by the masks all the same;
- `data.premultiplied = false` always cuts photos out by their masks.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

DARK = 10.0  # mean 8-bit value outside the masks up to which photos count as composited on black (JPEG noise is ~1)


def find_mask(folder: Path, name: str) -> Path | None:
    """The mask of image `name` (sub/photo.jpg): sub/photo.png or sub/photo.jpg.png or sub/photo.jpg in `folder`."""
    image = PurePosixPath(name)
    for candidate in (image.with_suffix(".png"), PurePosixPath(name + ".png"), image):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def premultiply(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours [H, W, 3] uint8 composited on black, rounded to 8 bits."""
    product = rgb.astype(np.uint16) * alpha[..., None]
    return ((product + 127) // 255).astype(np.uint8)


def shows_background(rgbs: list[np.ndarray], masks: list[np.ndarray]) -> bool:
    """True if the photos have colour where their masks are 0, so they cannot be composited on black."""
    outside = [rgb[mask == 0] for rgb, mask in zip(rgbs, masks) if (mask == 0).any()]
    count = sum(len(pixels) for pixels in outside)
    return count > 0 and sum(float(pixels.sum(dtype=np.float64)) for pixels in outside) / (3 * count) > DARK
