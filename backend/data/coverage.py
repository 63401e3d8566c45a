# SPDX-License-Identifier: Apache-2.0
"""From where a subject was seen, and how much the photos overlap: what solved cameras tell about a set of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import listed
from .posed import closest_to_axes

ORBIT_SPAN = 200.0        # degrees of azimuth from which a set counts as going around its subject
GAP = 40.0                # degrees between neighbours of such an orbit that are too much
BAND = 15.0               # degrees of elevation below which everything is seen from one height
OVERLAP = 0.2             # of a photo's points that it must share with its third-best neighbour
FEW_POINTS = 50           # points of a photo below which its place is doubtful


@dataclass(frozen=True)
class Coverage:
    """Angles in degrees around the point that the cameras look at.

    Attributes:
        azimuth_span: of the smallest arc that holds all cameras, 0..360.
        largest_gap: between neighbours along the arc (for a full orbit the largest of all gaps).
        gap_between: names of the photos on both sides of it.
        elevation: lowest and highest.
        overlap: median over the photos of the share of its points that it has in common with its third-best neighbour;
            None where points are not known.
        weak: names of photos with less than a fifth, or with few points at all.
    """

    azimuth_span: float
    largest_gap: float
    gap_between: tuple[str, str]
    elevation: tuple[float, float]
    overlap: float | None
    weak: tuple[str, ...]

    @property
    def goes_around(self) -> bool:
        return self.azimuth_span >= ORBIT_SPAN

    @property
    def is_good(self) -> bool:
        gap = self.goes_around and self.largest_gap > GAP
        return not gap and (self.overlap is None or self.overlap >= OVERLAP)

    def advice(self) -> list[str]:
        """What to shoot in addition."""
        advice = []
        low, high = self.elevation
        if self.goes_around and self.largest_gap > GAP:
            advice.append(f"There is a gap of {self.largest_gap:.0f} degrees between {self.gap_between[0]} and "
                          f"{self.gap_between[1]}: add photos there, one every 10 to 15 degrees.")
        if not self.goes_around:
            advice.append(f"The subject is seen over {self.azimuth_span:.0f} degrees only: its other sides will be "
                          "missing. Go around it if you want all of it.")
        if high - low < BAND:
            advice.append(f"All photos are taken from about the same height ({low:.0f} to {high:.0f} degrees): add "
                          "a round from higher up and one from lower down.")
        if self.weak:
            advice.append(f"{len(self.weak)} photos overlap too little with the others: {listed(self.weak)}. Add "
                          "photos beside them.")
        return advice

    def lines(self) -> list[str]:
        """The figures in words."""
        low, high = self.elevation
        lines = [f"seen from {self.azimuth_span:.0f} degrees around, largest gap {self.largest_gap:.0f}; from "
                 f"{low:.0f} to {high:.0f} degrees above the horizon"]
        if self.overlap is not None:
            lines.append(f"overlap: a photo shares {self.overlap:.0%} of its points with its third-best neighbour")
        return lines


def measure_coverage(names: Sequence[str], viewmats: np.ndarray, shared: np.ndarray | None = None) -> Coverage:
    """The coverage of cameras in a frame with Z up.

    Args:
        names: of the C photos.
        viewmats: [C, 3 or 4, 4] world to camera.
        shared: [C, C] points that two photos both see, on the diagonal what each one sees; None if not known.
    """
    rotations = viewmats[:, :3, :3]
    centers = -np.einsum("cji,cj->ci", rotations, viewmats[:, :3, 3])
    away = centers - closest_to_axes(centers, rotations[:, 2])
    azimuth = np.degrees(np.arctan2(away[:, 1], away[:, 0]))
    elevation = np.degrees(np.arctan2(away[:, 2], np.linalg.norm(away[:, :2], axis=1)))
    order = np.argsort(azimuth)
    gaps = np.diff(np.append(azimuth[order], azimuth[order[0]] + 360))
    outside = int(gaps.argmax())
    span = 360 - float(gaps[outside]) if gaps[outside] > 360 - ORBIT_SPAN else 360.0
    if span < ORBIT_SPAN:       # an arc: what lies outside of it is no gap
        gaps[outside] = 0
    gap = int(gaps.argmax())
    between = (names[order[gap]], names[order[(gap + 1) % len(order)]])
    overlap, weak = _overlap(names, shared) if shared is not None else (None, ())
    return Coverage(span, float(gaps[gap]), between, (float(elevation.min()), float(elevation.max())), overlap, weak)


def _overlap(names: Sequence[str], shared: np.ndarray) -> tuple[float, tuple[str, ...]]:
    own = np.maximum(np.diag(shared), 1)
    others = shared - np.diag(np.diag(shared))
    third = np.sort(others, axis=1)[:, -min(3, len(others))] / own
    weak = tuple(name for name, share, count in zip(names, third, own) if share < OVERLAP or count < FEW_POINTS)
    return float(np.median(third)), weak
