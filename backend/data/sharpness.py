# SPDX-License-Identifier: Apache-2.0
"""How sharp a picture is, whatever it shows.

Detail at the finest scale is compared with detail at twice that scale. A natural picture has about as much of both; a
blurred one lacks the finest. The comparison does not care how much texture or light there is.
"""

from __future__ import annotations

import numpy as np

SMOOTH, CRISP = 0.25, 1.0     # ratios of a band-limited picture (exactly 1/4) and of a sharp one
ROUNDING = 20 / 12            # squared Laplacian of the rounding to 8 bits; a quarter of it is left after halving


def luma(rgb: np.ndarray) -> np.ndarray:
    """[H, W] float32 in 0..255 from [H, W, 3] uint8 (Rec. 709)."""
    return rgb.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)


def halved(grey: np.ndarray) -> np.ndarray:
    """The mean of each 2 x 2 block; an odd last row or column is dropped."""
    height, width = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    return grey[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def laplacian(grey: np.ndarray) -> np.ndarray:
    """[H - 2, W - 2] second differences."""
    return 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]


def sharpness(grey: np.ndarray, mask: np.ndarray | None = None) -> float:
    """0 (smooth) to 1 (crisp) of a picture [H, W] float; only where mask [H, W] bool, if there is one.

    A picture without any detail gives 0.
    """
    if min(grey.shape) < 8:
        return 0.0
    coarse = halved(grey)
    fine_energy = laplacian(grey) ** 2
    coarse_energy = laplacian(coarse) ** 2
    if mask is not None:
        inside = mask[1:-1, 1:-1]
        inside_coarse = halved(mask.astype(np.float32))[1:-1, 1:-1] > 0.99
        if inside.sum() < 64 or inside_coarse.sum() < 64:
            return 0.0
        fine_energy, coarse_energy = fine_energy[inside], coarse_energy[inside_coarse]
    below = float(coarse_energy.mean()) - ROUNDING / 4
    if below < 1.0:      # less than a grey level of detail
        return 0.0
    ratio = float(np.sqrt(max(0.0, float(fine_energy.mean()) - ROUNDING) / below))
    return float(np.clip((ratio - SMOOTH) / (CRISP - SMOOTH), 0.0, 1.0))
