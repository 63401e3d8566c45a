# SPDX-License-Identifier: Apache-2.0
"""Which triangulation an iteration sees depends on the lag alone, however long triangulations take."""

import threading
import time

import pytest
import torch

from milo.backend.mesh import triangulation
from milo.backend.mesh.triangulation import Triangulation
from milo.cuda_ext.delaunay import delaunay

INTERVAL = 10


def pivots(k):
    return torch.randn(60, 3, generator=torch.Generator().manual_seed(k))


def seen(triangulation, iterations):
    """For each iteration, that whose points the tetrahedra in use are of."""
    tets = {k: delaunay(pivots(k)) for k in range(1, 50)}
    ages = []
    for k in iterations:
        triangulation.update(k, pivots(k), due=k % INTERVAL == 0)
        ages.append(next(j for j in tets if torch.equal(tets[j], triangulation.topology.tets)))
    return ages


def slowly(points, **options):
    time.sleep(0.05)
    return delaunay(points, **options)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(("lag", "expected"), [
    (0, [5] * 5 + [10] * 10 + [20] * 5), (4, [5] * 9 + [10] * 10 + [20]), (100, [5] * 15 + [10] * 5)])
def test_swaps_at_a_fixed_iteration(monkeypatch, slow, lag, expected):
    if slow:
        monkeypatch.setattr(triangulation, "delaunay", slowly)
    assert seen(Triangulation(lag), range(5, 25)) == expected


def test_swaps_at_the_next_iteration_that_uses_the_mesh():
    assert seen(Triangulation(3), range(8, 18, 2)) == [8, 8, 8, 10, 10]


def test_training_goes_on_while_a_thread_triangulates(monkeypatch):
    allowed = threading.Event()

    def held(points, **options):
        assert allowed.wait(10)
        return delaunay(points, **options)

    background = Triangulation(5)
    background.update(9, pivots(9), due=False)
    first = background.topology
    monkeypatch.setattr(triangulation, "delaunay", held)
    for k in range(10, 15):
        background.update(k, pivots(k), due=k == 10)
        assert background.topology is first
    allowed.set()
    background.update(15, pivots(15), due=False)
    assert torch.equal(background.topology.tets, delaunay(pivots(10)))


def test_goes_on_from_its_state_between_snapshot_and_swap():
    begun, resumed = Triangulation(4), Triangulation(4)
    seen(begun, range(9, 12))
    resumed.load_state_dict(begun.state_dict(), 60)
    assert seen(resumed, range(12, 16)) == [9, 9, 10, 10]


def test_after_a_drop_the_next_iteration_waits_for_its_own():
    dropped = Triangulation(4)
    seen(dropped, range(9, 12))
    dropped.drop()
    assert dropped.topology is None
    assert seen(dropped, range(12, 16)) == [12, 12, 12, 12]


def test_tells_of_bad_pivots_at_the_swap():
    background = Triangulation(2)
    background.update(9, pivots(9), due=False)
    background.update(10, pivots(10) / 0, due=True)
    background.update(11, pivots(11), due=False)
    with pytest.raises(ValueError, match="not finite"):
        background.update(12, pivots(12), due=False)


def test_gives_up_at_once_when_stopped():
    points = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0))
    background = Triangulation(5)
    background.update(9, pivots(9), due=False)
    before = set(threading.enumerate())
    background.update(10, points, due=True)
    (thread,) = set(threading.enumerate()) - before
    time.sleep(0.02)
    start = time.perf_counter()
    background.stop()
    thread.join(10)
    assert not thread.is_alive() and time.perf_counter() - start < 0.5
    background.update(15, pivots(15), due=False)
    assert torch.equal(background.topology.tets, delaunay(pivots(9)))


@pytest.mark.gpu
def test_pivots_on_a_gpu_may_change_after_the_snapshot():
    points = torch.randn(100_000, 3, generator=torch.Generator().manual_seed(0))
    background, on_gpu = Triangulation(5), points.to("cuda")
    background.update(9, on_gpu + 1, due=False)
    torch.cuda._sleep(100_000_000)              # what follows is asked for long before it happens
    start = time.perf_counter()
    background.update(10, on_gpu, due=True)
    assert time.perf_counter() - start < 0.02   # nothing waits for the GPU
    on_gpu.zero_()
    background.update(15, on_gpu, due=False)
    assert background.topology.tets.is_cuda
    assert torch.equal(background.topology.tets.cpu(), delaunay(points))
