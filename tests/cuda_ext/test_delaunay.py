# SPDX-License-Identifier: Apache-2.0
"""Triangulations checked from the definition, by predicates that test_predicates.py checks by rational arithmetic."""

import shutil
import subprocess
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from scipy.spatial import Delaunay as Qhull

from milo.cuda_ext.delaunay import Stopped, delaunay
from milo.cuda_ext.native import native

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def pivots(count, seed=0, flat=0.0, dtype=np.float32):
    """Corners and centres of the boxes of Gaussians on a noisy sphere with a background (spec training.md, 5.2)."""
    generator = np.random.default_rng(seed)
    direction = generator.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    means = direction * (1 + 0.02 * generator.normal(size=(count, 1)))
    background = generator.random(count) < 0.1
    means[background] = generator.uniform(-4, 4, (background.sum(), 3))
    scales = np.exp(generator.normal(np.log(0.6 / count**0.5), 0.5, (count, 3))) * [1, 1, 0.1]
    scales[generator.random(count) < flat, 2] = 0
    rotations, _ = np.linalg.qr(generator.normal(size=(count, 3, 3)))
    corners = means[:, None] + (CORNERS * 3 * scales[:, None]) @ rotations.transpose(0, 2, 1)
    return np.concatenate([corners.reshape(-1, 3), means]).astype(dtype)


def tetrahedra(points, threads=0):
    return delaunay(torch.from_numpy(np.ascontiguousarray(points)), threads=threads).numpy()


def as_set(tets):
    return {tuple(tet) for tet in np.sort(tets, axis=1).tolist()}


def assert_delaunay(points, tets):
    """Positive, closed under neighbours, empty circumspheres, all of the convex hull, every distinct point a vertex."""
    points = points.astype(np.float64)
    points = np.ldexp(points, -np.frexp(np.abs(points).max())[1])        # the predicates' range; no rounding
    assert tets.dtype == np.int32
    assert (native.orient3d(points[tets].reshape(-1, 3)) == 1).all()

    facets = np.concatenate([tets[:, [1, 2, 3]], tets[:, [0, 2, 3]], tets[:, [0, 1, 3]], tets[:, [0, 1, 2]]])
    facets, opposite, owner = np.sort(facets, axis=1), tets.T.reshape(-1), np.tile(np.arange(len(tets)), 4)
    order = np.lexsort(facets.T)
    shared = (facets[order[1:]] == facets[order[:-1]]).all(axis=1)
    assert not (shared[1:] & shared[:-1]).any(), "a facet has three tetrahedra"
    one, other = order[:-1][shared], order[1:][shared]
    # Delaunay's lemma: if no neighbour's far vertex is in a circumsphere, no point at all is in one.
    five = np.concatenate([points[tets[owner[one]]], points[opposite[other]][:, None]], axis=1)
    assert (native.insphere(five.reshape(-1, 3)) <= 0).all()

    _, first = np.unique(points, axis=0, return_index=True)
    used = np.unique(tets)
    np.testing.assert_array_equal(used, np.sort(first), "each distinct point is a vertex, by its lowest index")
    edges = np.concatenate([tets[:, [i, j]] for i in range(4) for j in range(i)])
    num_edges = len(np.unique(np.sort(edges, axis=1).astype(np.int64) @ [len(points), 1]))
    assert len(used) - num_edges + (len(facets) - len(one)) - len(tets) == 1, "Euler's formula of a ball"
    edge = points[tets[:, 1:]] - points[tets[:, :1]]
    volume = np.linalg.det(edge).sum() / 6
    np.testing.assert_allclose(volume, ConvexHull(points).volume, rtol=1e-9)


@pytest.mark.parametrize("count", [4, 5, 6, 9, 40, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_tetrahedra_as_qhull(count, dtype):
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(count, 3)).astype(dtype)
        tets = tetrahedra(points)
        assert as_set(tets) == as_set(Qhull(points.astype(np.float64)).simplices)
        assert_delaunay(points, tets)


def test_no_point_in_any_circumsphere_by_rational_arithmetic():
    points = pivots(6, seed=3)
    exact = [[Fraction(float(x)) for x in point] for point in points]
    for tet in tetrahedra(points)[::7]:
        rows = [[x - o for x, o in zip(exact[v], exact[tet[0]])] for v in tet[1:]]
        squares = [sum(x * x for x in row) / 2 for row in rows]
        center = solve3(rows, squares)
        radius2 = sum(x * x for x in center)
        for point in exact:
            assert sum((x - o - c) ** 2 for x, o, c in zip(point, exact[tet[0]], center)) >= radius2


def solve3(rows, right):
    """Cramer's rule in whatever numbers are given."""
    def det(m):
        return (m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
                + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]))
    whole = det(rows)
    return [det([[*row[:k], value, *row[k + 1 :]] for row, value in zip(rows, right)]) / whole for k in range(3)]


def grid(side, step=1.0):
    axis = np.arange(side) * step
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def with_duplicates(count, copies):
    generator = np.random.default_rng(1)
    points = generator.normal(size=(count, 3))
    points[generator.permutation(count)[:copies]] = points[generator.integers(0, count, copies)]
    return points


def unit(count, dtype=np.float64):
    points = np.random.default_rng(2).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(dtype)


def plane(count, height=0.25):
    points = np.random.default_rng(3).uniform(-1, 1, (count, 3))
    points[:, 2] = height
    return points


def clusters(factors):
    generator = np.random.default_rng(4)
    return np.concatenate([generator.normal(size=(400, 3)) * factor + generator.normal(size=3) for factor in factors])


def line(count):
    return np.arange(count)[:, None] * np.array([[1.0, 2.0, 4.0]])


HARD = {
    "pivots": lambda: pivots(1500),
    "pivots in double precision": lambda: pivots(300, dtype=np.float64),
    "a fifth of the boxes flat": lambda: pivots(1000, flat=0.2),
    "500 Gaussians of no size": lambda: np.repeat(np.random.default_rng(5).normal(size=(500, 3)), 9, axis=0),
    "5,000 duplicates": lambda: with_duplicates(9000, 5000),
    "grid of 30": lambda: grid(30),
    "grid of tenths": lambda: grid(12, 0.1),
    "corners of a cube, often": lambda: np.random.default_rng(6).integers(0, 2, (999, 3)).astype(float),
    "fine lattice": lambda: np.random.default_rng(7).integers(0, 1000, (5000, 3)).astype(np.float32),
    "tiny": lambda: pivots(100) * np.float32(1e-30),
    "huge": lambda: pivots(100).astype(float) * 2.0**1000,
    "far from the origin": lambda: (pivots(500) + 1000).astype(np.float32),
    "on a sphere": lambda: unit(1000),
    "on a sphere, and its centre": lambda: np.concatenate([unit(3000, np.float32), np.zeros((1, 3), np.float32)]),
    "on a plane, and one more": lambda: np.concatenate([plane(2000), [[0, 0, 1.0]]]),
    "on three planes": lambda: np.concatenate([plane(1500), plane(1500, 1.25), plane(1500, -0.75)]),
    "on a line, and two more": lambda: np.concatenate([line(2000), [[1.0, 0, 0], [0, 1.0, 0]]]),
    "clusters": lambda: clusters([10.0**-k for k in range(0, 14, 2)]),
    "nested clusters": lambda: np.concatenate([pivots(40) * 10.0**-k for k in range(0, 40, 4)]),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name):
    points = HARD[name]()
    tets = tetrahedra(points, 1)
    assert_delaunay(points, tets)
    for threads in (2, 4, 8):
        np.testing.assert_array_equal(tetrahedra(points, threads), tets, f"{threads} threads")


def test_the_same_to_the_bit_whatever_the_number_of_threads():
    """Many at once in little space, again and again: the order in which they come and conflict differs each time."""
    points = pivots(3000)
    tets = tetrahedra(points, 1)
    for threads in [2, 4, 8, 16] * 3:
        np.testing.assert_array_equal(tetrahedra(points, threads), tets)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++ with ThreadSanitizer")
def test_no_thread_reads_what_another_writes(tmp_path):
    here = Path(__file__).parent
    cpu = here.parents[1] / "cuda_ext" / "cpu"
    sources = [cpu / f"{name}.cpp"
               for name in ("delaunay", "delaunay_insert", "delaunay_order", "spatial_sort", "predicates")]
    subprocess.run(["g++", "-std=c++17", "-O1", "-g", "-fsanitize=thread", "-ffp-contract=off", "-pthread", f"-I{cpu}",
                    f"-I{cpu.parent / 'math'}", *sources, here / "delaunay_threads.cpp", "-o", tmp_path / "program"],
                   check=True)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr   # ThreadSanitizer makes it 66


@pytest.mark.parametrize("threads", [1, 8])
def test_grows_where_there_are_many_tetrahedra(threads):
    """Two skew lines: each pair of segments is a tetrahedron, 400 a point."""
    along = np.linspace(-1, 1, 800)
    points = np.zeros((1600, 3))
    points[:800, 0], points[800:, 1], points[800:, 2] = along, along, 1
    assert len(tetrahedra(points, threads)) == 799 * 799


def test_neighbours_are_near_each_other_in_the_list():
    points = pivots(3000)
    tets = tetrahedra(points)
    centres = points[tets].mean(axis=1)
    step = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    anywhere = np.linalg.norm(centres - np.random.default_rng(0).permutation(centres), axis=1)
    assert np.median(step) < 0.05 * np.median(anywhere)


@pytest.mark.parametrize("threads", [1, 2])
def test_stops_when_told_to(threads):
    points, stop = torch.from_numpy(pivots(20_000)), np.zeros(1, np.uint8)
    timer = threading.Timer(0.05, stop.fill, (1,))
    timer.start()
    with pytest.raises(Stopped):
        for _ in range(1000):
            delaunay(points, threads=threads, stop=stop)
    timer.join()


@pytest.mark.parametrize(
    "points", [pivots(300), grid(9), with_duplicates(500, 300)], ids=["pivots", "grid", "duplicates"]
)
def test_deterministic_and_independent_of_the_order_of_the_points(points):
    tets = tetrahedra(points)
    np.testing.assert_array_equal(tets, tetrahedra(points))
    shuffle = np.random.default_rng(8).permutation(len(points))
    _, same = np.unique(points, axis=0, return_inverse=True)            # duplicates count as one
    same = same.reshape(-1)
    assert as_set(same[shuffle][tetrahedra(points[shuffle])]) == as_set(same[tets])


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 3)), np.ones((3, 3)), np.zeros((50, 3)), line(50), plane(500), grid(20)[:400], plane(300) * 1e-300],
    ids=["none", "three", "one point", "line", "plane", "flat grid", "tiny plane"],
)
def test_no_volume_gives_no_tetrahedra(points):
    assert tetrahedra(points).shape == (0, 4)


def test_refuses_values_that_are_not_finite():
    points = torch.zeros(10, 3)
    points[3, 1], points[7, 0] = float("nan"), float("inf")
    with pytest.raises(ValueError, match=r"2 of 10 rows that are not finite \(row 3, 7\)"):
        delaunay(points)


def test_refuses_other_shapes_and_dtypes():
    with pytest.raises(ValueError, match="points must have shape"):
        delaunay(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="points must be float32 or float64"):
        delaunay(torch.zeros(4, 3, dtype=torch.int32))
