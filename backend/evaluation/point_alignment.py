# SPDX-License-Identifier: Apache-2.0
"""Similarities between point sets: in closed form, robustly from correspondences, and by nearest neighbours.

A similarity is [4, 4] float64: x -> s R x + t, column vectors.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def similarity(source: np.ndarray, target: np.ndarray, scaled: bool = True) -> np.ndarray:
    """The similarity (rigid motion if not scaled) with the least squared error between paired points [P, 3], P >= 3."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    u, spread, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt)) or 1])
    rotation = (u * sign) @ vt
    scale = (spread * sign).sum() / max((a * a).sum(), 1e-300) if scaled else 1.0
    result = np.eye(4)
    result[:3, :3] = scale * rotation
    result[:3, 3] = target_mean - result[:3, :3] @ source_mean
    return result


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """points [P, 3] under an affine matrix [4, 4]."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def ransac_similarity(source: np.ndarray, target: np.ndarray, distance: float, sample: int = 6,
                      iterations: int = 100_000, confidence: float = 0.999,
                      seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The similarity that most of the paired points [P, 3] agree with, and which do: [P] bool.

    Args:
        distance: up to which a pair agrees, target units.
        sample: pairs that make a hypothesis; iterations: hypotheses at most; confidence: with which the best of those
            tried so far must have been found, to stop earlier.
    """
    rng = np.random.default_rng(seed)
    count = len(source)
    sample = min(sample, count)
    best, best_inliers, needed, tried = np.eye(4), np.zeros(count, bool), float(iterations), 0
    while tried < min(iterations, needed):
        tried += 1
        chosen = rng.choice(count, sample, replace=False)
        candidate = similarity(source[chosen], target[chosen])
        inliers = np.linalg.norm(moved(source, candidate) - target, axis=1) < distance
        if inliers.sum() > best_inliers.sum():
            best, best_inliers = candidate, inliers
            share = inliers.mean() ** sample
            needed = np.log(1 - confidence) / np.log1p(-share) if share < 1 else 0.0
    if best_inliers.sum() >= 3:
        best = similarity(source[best_inliers], target[best_inliers])
    return best, best_inliers


def icp(source: np.ndarray, target: np.ndarray, distance: float, iterations: int = 20,
        tolerance: float = 1e-6) -> np.ndarray:
    """Point-to-point ICP with scale: the similarity that brings source [S, 3] onto target [T, 3].

    Args:
        distance: pairs further apart are left out.
        iterations: at most; it ends earlier once share and root mean square of the pairs change by less than the
            tolerance, relatively.
    """
    tree, total = cKDTree(target), np.eye(4)
    fitness, error = 0.0, 0.0
    for _ in range(iterations):
        apart, nearest = tree.query(moved(source, total), distance_upper_bound=distance, workers=-1)
        paired = np.isfinite(apart)
        if paired.sum() < 3:
            break
        now = paired.mean(), float(np.sqrt((apart[paired] ** 2).mean()))
        if abs(now[0] - fitness) <= tolerance * now[0] and abs(now[1] - error) <= tolerance * max(now[1], 1e-300):
            break
        fitness, error = now
        total = similarity(moved(source[paired], total), target[nearest[paired]]) @ total
    return total


def voxel_downsample(points: np.ndarray, voxel: float) -> np.ndarray:
    """The mean of the points [P, 3] in each occupied cell of a grid."""
    if not len(points):
        return points
    cells = np.floor((points - points.min(axis=0) + voxel / 2) / voxel).astype(np.int64)
    size = cells.max(axis=0) + 1
    _, cell, count = np.unique((cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2], return_inverse=True,
                               return_counts=True)
    return np.stack([np.bincount(cell, points[:, axis]) for axis in range(3)], axis=1) / count[:, None]
