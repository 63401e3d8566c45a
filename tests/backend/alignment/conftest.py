# SPDX-License-Identifier: Apache-2.0
"""Cameras on an orbit, and models made of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from milo.backend.alignment.models import SolvedModel

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"


@pytest.fixture
def suzanne() -> Path:
    return SUZANNE


@pytest.fixture
def made() -> SimpleNamespace:
    """Makers of cameras and models: look_at, orbit, orbit_model."""
    return SimpleNamespace(look_at=look_at, orbit=orbit, orbit_model=orbit_model)


def look_at(center, target=(0.0, 0.0, 0.0), up=(0.0, 0.0, 1.0)) -> np.ndarray:
    """World-to-camera [3, 4] of a level camera."""
    forward = np.subtract(target, center)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.column_stack([rotation, -rotation @ np.asarray(center)])


def orbit(count: int, radius: float = 3.0, height: float = 1.0, start: float = 0.0, span: float = 360.0) -> np.ndarray:
    """[count, 3, 4] cameras around the Z axis that look at the origin."""
    angles = np.radians(start + span * np.arange(count) / count)
    return np.stack([look_at((radius * np.cos(a), radius * np.sin(a), height)) for a in angles])


def orbit_model(count: int = 24, points_each: int = 40, reach: int = 3) -> SolvedModel:
    """A sound model: each photo shares points with its next `reach` neighbours on both sides."""
    rng = np.random.default_rng(0)
    viewmats = orbit(count)
    points = rng.normal(size=(count * points_each, 3)) * 0.5
    seen = [((first + step) % count, first * points_each + i)
            for first in range(count) for i in range(points_each) for step in range(reach + 1)]
    pairs = [(a, (a + step) % count, 100, 95) for a in range(count) for step in range(1, reach + 1)]
    return SolvedModel(0, [f"{i:03}.jpg" for i in range(count)], viewmats, points, np.full(len(points), 0.5),
                       np.array(sorted(seen), np.int32), np.array(pairs, np.int32))
