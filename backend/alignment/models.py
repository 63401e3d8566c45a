# SPDX-License-Identifier: Apache-2.0
"""A solved model as arrays, and which part of it holds together.

Mapping can join what does not belong together: photos of two sides that look alike end up on one side. Such a false
merge shows in its *silent neighbours*: photos that stand side by side in the model, look the same way, and yet share no
points, because they show different things. Also, matches that two photos verified by themselves contradict the model.
`consistent_part` keeps the largest part without either. What it leaves out is reported, never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from milo.backend.data.posed import closest_to_axes

SHARED_POINTS = 15       # points that two photos must share to hold each other
NEIGHBOURS = 15.0        # degrees between the directions in which neighbours look, and from which they are seen
SILENT = 0.6             # of the neighbours across a cut that share too little: the cut is a false seam
WITNESSES = 4            # neighbours across a cut that are needed to judge it
AGREE = 0.4              # of a pair's verified matches that must agree with the model
MOST_AGAINST = 0.25      # of all verified matches that may belong to pairs that do not


@dataclass(frozen=True, eq=False)
class SolvedModel:
    """Cameras and points of one model, in the model's own frame.

    Attributes:
        number: COLMAP's.
        names: of the C registered photos, sorted.
        viewmats: [C, 3, 4] world to camera.
        points: [P, 3]; errors [P]: mean reprojection error, pixels.
        seen: [S, 2] int32 rows of (photo, point), each pair once.
        pairs: [V, 4] int32 rows of (photo a, photo b, verified matches, those that agree with the model).
    """

    number: int
    names: list[str]
    viewmats: np.ndarray
    points: np.ndarray
    errors: np.ndarray
    seen: np.ndarray
    pairs: np.ndarray

    @property
    def centers(self) -> np.ndarray:
        """[C, 3] camera centres."""
        return -np.einsum("cji,cj->ci", self.viewmats[:, :, :3], self.viewmats[:, :, 3])

    def shared_points(self) -> np.ndarray:
        """[C, C] int: points that two photos both see; the diagonal is what each one sees."""
        ones = np.ones(len(self.seen), np.int64)
        sees = csr_array(coo_array((ones, (self.seen[:, 0], self.seen[:, 1])), (len(self.names), len(self.points))))
        return (sees @ sees.T).toarray()

    def part(self, keep: np.ndarray) -> SolvedModel:
        """The model of the photos `keep` ([C] bool), with the points that two of them see."""
        row = np.cumsum(keep) - 1
        seen = self.seen[keep[self.seen[:, 0]]]
        stays = np.bincount(seen[:, 1], minlength=len(self.points)) >= 2
        point = np.cumsum(stays) - 1
        seen = seen[stays[seen[:, 1]]]
        pairs = keep[self.pairs[:, 0]] & keep[self.pairs[:, 1]]
        renumbered = self.pairs[pairs].copy()
        renumbered[:, :2] = row[renumbered[:, :2]]
        return SolvedModel(self.number, [name for name, stay in zip(self.names, keep) if stay], self.viewmats[keep],
                           self.points[stays], self.errors[stays],
                           np.column_stack([row[seen[:, 0]], point[seen[:, 1]]]).astype(np.int32), renumbered)


@dataclass(frozen=True, eq=False)
class Solution:
    """A finished scene as arrays: pinhole cameras in the chosen frame.

    Attributes:
        names: of the C photos below images/, sorted.
        viewmats: [C, 3, 4] world to camera; Ks [C, 3, 3] pixels; sizes [C, 2] int (width, height).
        points: [P, 3]; colors [P, 3] uint8.
    """

    names: list[str]
    viewmats: np.ndarray
    Ks: np.ndarray
    sizes: np.ndarray
    points: np.ndarray
    colors: np.ndarray


def read_solution(path: Path) -> Solution:
    """The arrays that solver.py wrote of the finished scene."""
    with np.load(path, allow_pickle=False) as arrays:
        return Solution([str(name) for name in arrays["names"]],
                        *(arrays[name] for name in ("viewmats", "Ks", "sizes", "points", "colors")))


def read_model(path: Path, number: int) -> SolvedModel:
    """The arrays that solver.py wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return SolvedModel(number, [str(name) for name in arrays["names"]],
                           *(arrays[name] for name in ("viewmats", "points", "errors", "seen", "pairs")))


def consistent_part(model: SolvedModel) -> SolvedModel | None:
    """The largest part of a model that nothing contradicts, or None if there is none of three photos."""
    while len(model.names) >= 3:
        shared = model.shared_points()
        holds = csr_array(shared >= SHARED_POINTS)
        _, labels = connected_components(holds, directed=False)
        keep = labels == np.bincount(labels).argmax()
        if keep.all():
            side = weakest_cut(shared)
            if not is_false_seam(model, shared, side):
                break
            keep = side if side.sum() >= len(side) / 2 else ~side
        model = model.part(keep)
    return model if len(model.names) >= 3 and contradiction(model) <= MOST_AGAINST else None


def weakest_cut(shared: np.ndarray) -> np.ndarray:
    """[C] bool: one side of the cut through the photos that severs the fewest common points for the size of its sides
    (the sign of the second eigenvector of the normalised Laplacian)."""
    weight = np.minimum(shared, np.diag(shared).mean()).astype(float)
    np.fill_diagonal(weight, 0)
    degree = np.maximum(weight.sum(1), 1e-9)
    root = 1 / np.sqrt(degree)
    vectors = np.linalg.eigh(np.eye(len(weight)) - root[:, None] * weight * root)[1]
    return vectors[:, 1] * root > 0


def is_false_seam(model: SolvedModel, shared: np.ndarray, side: np.ndarray) -> bool:
    """Whether the photos on both sides of a cut are neighbours in space that do not show the same thing."""
    near = neighbours(model)
    across = np.triu(near & (side[:, None] != side))
    within = np.triu(near & (side[:, None] == side), 1)
    silent = shared < SHARED_POINTS
    if across.sum() < WITNESSES:
        return False
    usual = silent[within].mean() if within.any() else 0.0
    return silent[across].mean() > max(SILENT, 2 * usual)


def neighbours(model: SolvedModel) -> np.ndarray:
    """[C, C] bool: photos that look the same way from the same side of what all look at, upright or turned."""
    axes, centers = model.viewmats[:, 2, :3], model.centers
    away = centers - closest_to_axes(centers, axes)
    distance = np.linalg.norm(away, axis=1)
    away = away / np.maximum(distance, 1e-12)[:, None]
    least = np.cos(np.radians(NEIGHBOURS))
    like = np.maximum(distance[:, None], distance) < 2 * np.minimum(distance[:, None], distance)
    return (axes @ axes.T > least) & (away @ away.T > least) & like & ~np.eye(len(axes), dtype=bool)


def contradiction(model: SolvedModel) -> float:
    """The share of verified matches that belong to pairs which contradict the model, 0..1."""
    matches, agreeing = model.pairs[:, 2], model.pairs[:, 3]
    against = agreeing < AGREE * matches
    return float(matches[against].sum() / max(1, matches.sum()))
