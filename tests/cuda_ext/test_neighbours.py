# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import neighbours
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import neighbours as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "neighbours")


def cloud(kind, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator)
    if kind == "line":
        points[:, 1:] = 0
    if kind == "duplicates":
        points = points[torch.randint(0, max(1, count // 3), (count,), generator=generator)]
    if kind == "grid":                                # many equal distances
        points = torch.cartesian_prod(*3 * [torch.arange(round(count ** (1 / 3))).float()])
    if kind == "far clusters":
        points = 1e-3 * points + 1e2 * torch.randint(0, 4, (count, 1), generator=generator)
    return points


@pytest.mark.parametrize("kind", ["blob", "line", "duplicates", "grid", "far clusters"])
@pytest.mark.parametrize("count", [8, 1000])
def test_matches_brute_force(kind, count):
    points = cloud(kind, count)
    torch.testing.assert_close(
        neighbours.mean_sq_distance(points), reference.mean_sq_distance(points), rtol=3e-7, atol=0
    )
    queries = torch.cat([points[:40], cloud("blob", 60, seed=1)])
    dist2, index = neighbours.nearest(points, queries, min(7, count))
    wanted, wanted_index = reference.nearest(points, queries, min(7, count))
    torch.testing.assert_close(dist2, wanted, rtol=3e-7, atol=0)
    # Two candidates may change places only where their distances agree to the last bit or two.
    moved = index != wanted_index
    assert (dist2[moved] - wanted[moved]).abs().max() <= 3e-7 * wanted.max() if moved.any() else True
    assert kind == "far clusters" or moved.float().mean() < 0.02


def test_a_hundred_thousand_points_against_brute_force_on_a_sample():
    points = cloud("blob", 100_000)
    ours = neighbours.mean_sq_distance(points)
    sample = torch.arange(0, 100_000, 1999)
    dist2, _ = reference.nearest(points, points[sample], 4)
    torch.testing.assert_close(ours[sample], dist2[:, 1:].mean(1), rtol=3e-7, atol=0)


@pytest.mark.parametrize("device", ["cpu"])
def test_same_answer_whatever_the_number_of_threads():
    points, before = cloud("grid", 1000), native.num_threads()
    try:
        native.set_num_threads(1)
        alone = neighbours.nearest(points, points, 5)
        native.set_num_threads(3)
        together = neighbours.nearest(points, points, 5)
    finally:
        native.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, together))


def test_few_points():
    for count in range(4):
        assert torch.isinf(neighbours.mean_sq_distance(torch.zeros(count, 3))).all()
    assert torch.equal(neighbours.mean_sq_distance(torch.zeros(4, 3)), torch.zeros(4))
    dist2, index = neighbours.nearest(torch.ones(1, 3), torch.zeros(2, 3), 1)
    assert torch.equal(dist2, torch.full((2, 1), 3.0)) and torch.equal(index, torch.zeros(2, 1, dtype=torch.int32))


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="points must have shape"):
        neighbours.mean_sq_distance(torch.zeros(5, 2))
    with pytest.raises(ValueError, match="queries has values that are not finite"):
        neighbours.nearest(torch.zeros(5, 3), torch.full((1, 3), torch.nan), 1)
    with pytest.raises(ValueError, match="k must be between 1 and the number of points, 5"):
        neighbours.nearest(torch.zeros(5, 3), torch.zeros(1, 3), 6)
