# SPDX-License-Identifier: Apache-2.0
"""The exact predicates against rational arithmetic, on points where rounding decides."""

from fractions import Fraction

import numpy as np
import pytest

from milo.cuda_ext.native import native


def determinant(rows):
    if len(rows) == 1:
        return rows[0][0]
    return sum(
        (-1) ** j * x * determinant([row[:j] + row[j + 1 :] for row in rows[1:]]) for j, x in enumerate(rows[0]) if x
    )


def sign(x):
    return (x > 0) - (x < 0)


def differences(points, origin):
    return [[Fraction(x) - Fraction(o) for x, o in zip(point, origin)] for point in points]


def exact_orient3d(points):
    return sign(determinant(differences(points[1:], points[0])))


def exact_insphere(points):
    rows = differences(points[:4], points[4])
    return -sign(determinant([[*row, sum(x * x for x in row)] for row in rows]))


def five_points(kind, count=150):
    generator = np.random.default_rng(0)
    points = generator.normal(size=(count, 5, 3))
    if kind == "coarse lattice":
        return generator.integers(0, 3, points.shape) / 4
    if kind == "rounded lattice":
        return generator.integers(0, 3, points.shape) * 0.1
    if kind == "lattice with noise in the last bits":
        return generator.integers(0, 3, points.shape) * 0.1 + points * 1e-17 + 0.3
    if kind == "on a sphere":
        return points / np.linalg.norm(points, axis=-1, keepdims=True)
    if kind == "coplanar":
        points[:, 3] = points[:, 0] + (points[:, 1] - points[:, 0]) * 0.3 + (points[:, 2] - points[:, 0]) * 0.4
    if kind == "tiny":
        return generator.integers(0, 3, points.shape) * 2.0**-198
    return points


@pytest.mark.parametrize(
    "kind",
    ["random", "coarse lattice", "rounded lattice", "lattice with noise in the last bits", "on a sphere", "coplanar",
     "tiny"],
)
def test_signs_are_exact(kind):
    points = five_points(kind)
    four = np.ascontiguousarray(points[:, :4])
    assert native.orient3d(four.reshape(-1, 3)).tolist() == [exact_orient3d(p) for p in four.tolist()]
    assert native.insphere(points.reshape(-1, 3)).tolist() == [exact_insphere(p) for p in points.tolist()]


def test_orientation_and_insphere_conventions():
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    assert native.orient3d(corner).tolist() == [1]
    for point, expected in (([0.5, 0.5, 0.5], 1), ([1, 1, 1], 0), ([1, 1, 1 + 2**-52], -1)):
        assert native.insphere(np.vstack([corner, point])).tolist() == [expected]
