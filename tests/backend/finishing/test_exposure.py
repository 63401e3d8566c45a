# SPDX-License-Identifier: Apache-2.0
"""Photos of different brightness give one texture."""

import numpy as np
import pytest
import torch

from milo.backend.finishing.bake import bake_colors
from milo.backend.finishing.exposure import photo_gains
from milo.backend.finishing.texels import texels_of
from milo.backend.finishing.unwrap import unwrap

from .conftest import around, paint, photo_of


@pytest.fixture(scope="module")
def scene(ball):
    """Texels, the surface, photos as they should be, and gains that spoil them."""
    charted = unwrap(*ball, 128)
    photos = [photo_of(*ball, camera, lambda points: 0.2 + 0.5 * paint(points)) for camera in around()]
    spoilt = np.exp(np.random.default_rng(3).normal(0, 0.2, (len(photos), 3))).astype(np.float32)
    return texels_of(charted, 128), (torch.from_numpy(charted.verts), torch.from_numpy(charted.faces)), photos, spoilt


def with_gains(photos, gains):
    return [photo._replace(image=photo.image * torch.from_numpy(gain)[:, None, None])
            for photo, gain in zip(photos, gains)]


def spread(texels, surface, photos):
    """How far the texture is from the truth, apart from its brightness as a whole."""
    colors, _ = bake_colors(texels, *surface, photos)
    truth = 0.2 + 0.5 * torch.from_numpy(paint(texels.points.numpy())).float()
    ratio = (colors / truth).log()
    return float((ratio - ratio.mean(0)).std())


def test_gains_are_found(scene):
    texels, surface, photos, spoilt = scene
    spoilt_photos = [p._replace(image=p.image.clamp(0, 1)) for p in with_gains(photos, spoilt)]
    found = photo_gains(texels, *surface, spoilt_photos)
    left = np.log(found * spoilt)
    assert np.std(np.log(spoilt), axis=0).min() > 0.1
    assert np.std(left, axis=0).max() < 0.02
    assert np.abs(np.log(found).mean(0)).max() < 0.02          # as bright as the photos in the mean
    before, after = spread(texels, surface, spoilt_photos), spread(texels, surface, with_gains(spoilt_photos, found))
    assert before > 0.06 and after < 0.02


def test_equal_photos_stay_as_they_are(scene):
    texels, surface, photos, _ = scene
    assert np.abs(photo_gains(texels, *surface, photos) - 1).max() < 0.01


def test_a_highlight_in_a_photo_is_no_exposure(scene):
    texels, surface, photos, _ = scene
    shiny = photos[0].image.clone()
    shiny[:, 40:56, 40:56] = (shiny[:, 40:56, 40:56] * 1.6).clamp(max=0.97)
    found = photo_gains(texels, *surface, [photos[0]._replace(image=shiny), *photos[1:]])
    assert np.abs(found - 1).max() < 0.02


def test_a_photo_that_sees_nothing_keeps_its_own(scene, ball):
    texels, surface, photos, spoilt = scene
    black = photos[3]._replace(image=torch.zeros_like(photos[3].image))
    found = photo_gains(texels, *surface, [*with_gains(photos[:3], spoilt), black])
    assert np.isfinite(found).all() and np.abs(found[3] - 1).max() < 1e-6
    assert photo_gains(texels, *surface, []).shape == (0, 3)
