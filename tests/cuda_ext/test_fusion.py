# SPDX-License-Identifier: Apache-2.0
"""Fusion of depth maps at points: the spec's numbers, planes, what each view may judge, the oracle."""

import math

import pytest
import torch

from milo.cuda_ext import fusion
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import fusion as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "fusion")

FRONT = torch.eye(4)
K = torch.tensor([[20.0, 0.0, 8.5], [0.0, 20.0, 6.0], [0.0, 0.0, 1.0]])
SIZE = (12, 16)


def flat(depth, size=SIZE):
    return torch.full(size, float(depth))


def state(count, value=-1.0):
    return torch.full((count,), value), torch.zeros(count)


def at_pixel(column, row, z=1.0):
    """The point that FRONT sees at a pixel position (0 = centre of the first pixel)."""
    return [(column + 0.5 - K[0, 2].item()) / K[0, 0].item() * z, (row + 0.5 - K[1, 2].item()) / K[1, 1].item() * z, z]


@pytest.mark.parametrize("depths, value, weight", [
    ([1.004, 0.998], 0.1, 2),      # f = 0.4, -0.2
    ([1.5, 0.98], 1.0, 1),         # f = 1 (clamped), -2 (rejected)
    ([0.989, 0.0], -1.0, 0),       # too far behind; empty: never seen
])
def test_vectors_of_the_specification(depths, value, weight):
    """Spec training.md, A.8: truncation 0.01, a point at z = 1."""
    points = torch.tensor([at_pixel(7, 5)])
    t, w = state(1)
    for depth in depths:
        fusion.fuse_depth(points, flat(depth), FRONT, K, t, w, 0.01)
    assert t.item() == pytest.approx(value, abs=1e-4) and w.item() == weight


def test_never_seen_points_keep_the_callers_value():
    points = torch.tensor([at_pixel(7, 5, z=-1.0), at_pixel(-3, 5), at_pixel(7, 40), [math.nan, 0.0, 1.0]])
    t, w = state(4, value=-7.5)
    colors, labels = torch.zeros(4, 3), torch.ones(4, dtype=torch.uint8)
    fusion.fuse_depth(points, flat(2), FRONT, K, t, w, 0.1)
    fusion.fuse_colors(points, flat(2), torch.ones(3, *SIZE), FRONT, K, t, w, colors, 0.1)
    fusion.carve_labels(points, flat(2), FRONT, K, labels)
    assert (t == -7.5).all() and (w == 0).all() and (colors == 0).all() and (labels == 1).all()


def test_the_image_ends_at_the_outermost_centres():
    inside = [at_pixel(c, r) for c, r in ((1e-4, 5), (15 - 1e-4, 5), (5, 1e-4), (5, 11 - 1e-4))]
    outside = [at_pixel(c, r) for c, r in ((-1e-3, 5), (15 + 1e-3, 5), (5, -1e-3), (5, 11 + 1e-3))]
    points = torch.tensor(inside + outside)
    t, w = state(8)
    fusion.fuse_depth(points, flat(1.0), FRONT, K, t, w, 0.1)
    assert w.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_near_and_far_planes():
    points = torch.tensor([at_pixel(5, 5, z) for z in (0.5, 1.5, 2.5)])
    t, w = state(3)
    fusion.fuse_depth(points, flat(3.0), FRONT, K, t, w, 0.1, near=1.0, far=2.0)
    assert w.tolist() == [0, 1, 0]


def test_depth_is_bilinear_and_colours_are_nearest():
    depth, image = flat(1.0), torch.zeros(3, *SIZE)
    depth[5, 8] = 2.0
    image[:, 5, 8] = torch.tensor([0.2, 0.4, 0.6])
    points = torch.tensor([at_pixel(7.4, 5), at_pixel(7.6, 5), at_pixel(8, 5.25)])
    t, w = state(3)
    fusion.fuse_depth(points, depth, FRONT, K, t, w, 10.0)
    torch.testing.assert_close(t, torch.tensor([0.04, 0.06, 0.075]), rtol=0, atol=1e-6)
    (t, w), colors = state(3), torch.zeros(3, 3)
    fusion.fuse_colors(points, depth, image, FRONT, K, t, w, colors, 10.0)
    torch.testing.assert_close(t, torch.tensor([0.0, 0.1, 0.1]), rtol=0, atol=1e-6)
    torch.testing.assert_close(colors, torch.tensor([[0.0] * 3, [0.2, 0.4, 0.6], [0.2, 0.4, 0.6]]))


def test_empty_pixels_blend_into_their_neighbours():
    depth = flat(1.0)
    depth[4:7, 8:10] = 0.0
    points = torch.tensor([at_pixel(8.5, 5, 0.5), at_pixel(7.5, 5, 0.5)])
    t, w = state(2)
    fusion.fuse_depth(points, depth, FRONT, K, t, w, 1.0)
    assert w.tolist() == [0, 1] and t[1].item() == pytest.approx(0.0, abs=1e-6)   # 0.5 - 0.5


def test_colours_are_plain_means_of_the_views_that_see_the_point():
    points = torch.tensor([at_pixel(7, 5)])
    (t, w), colors = state(1, -1.1), torch.zeros(1, 3)
    for depth, shade in ((1.0, 0.2), (1.001, 0.4), (0.9, 1.0), (3.0, 0.9)):   # the third view sees something in front
        fusion.fuse_colors(points, flat(depth), torch.full((3, *SIZE), shade), FRONT, K, t, w, colors, 0.01)
    assert w.item() == 3
    torch.testing.assert_close(colors, torch.full((1, 3), 0.5))


def plane_views(normal, offset, count=5):
    """Turned cameras with off-centre lenses in front of the plane normal . x = offset, and their exact depth maps."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        turn = 0.3 * torch.randn(3, 3, generator=generator, dtype=torch.float64)
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = torch.linalg.matrix_exp(turn - turn.T)
        viewmat[:3, 3] = torch.randn(3, generator=generator, dtype=torch.float64) * 0.2
        y, x = torch.meshgrid(torch.arange(60).double() + 0.5, torch.arange(80).double() + 0.5, indexing="ij")
        lens = torch.tensor([[60.0, 0.0, 37.0], [0.0, 64.0, 32.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
        rays = torch.stack([(x - 37.0) / 60.0, (y - 32.5) / 64.0, torch.ones_like(x)], -1)
        eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
        depth = (offset - normal @ eye) / (rays @ (viewmat[:3, :3] @ normal))
        yield viewmat, lens, depth.clamp(min=0)


def test_a_plane():
    """In front of a plane labels are 0, behind it 1, and the sign of the field agrees (spec training.md, B.8)."""
    normal = torch.nn.functional.normalize(torch.tensor([0.2, -0.3, 1.0], dtype=torch.float64), dim=0)
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(5000, 3, generator=generator, dtype=torch.float64)
    points[:, 2] = 4.0 + 0.5 * points[:, 2]
    height = points @ normal - 4.0   # > 0 behind
    value, weight = torch.full((5000,), -1.0).double(), torch.zeros(5000).double()
    labels = torch.ones(5000, dtype=torch.uint8)
    for viewmat, lens, depth in plane_views(normal, 4.0):
        fusion.fuse_depth(points, depth, viewmat, lens, value, weight, 0.05)
        fusion.carve_labels(points, depth, viewmat, lens, labels)
    seen, clear = weight > 0, height.abs() > 0.01   # depth is bilinear here and constant over a pixel there
    assert (seen & clear).sum() > 2000
    assert torch.equal(value[seen & clear] > 0, height[seen & clear] < 0)
    off = height.abs() > 0.15   # half a pixel on a tilted plane
    judged = seen & off & (height < 0)
    assert judged.sum() > 500 and (labels[judged] == 0).all()
    assert (labels[off & (height > 0)] == 1).all()
    assert (value[height > 0.2] == -1).all()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_matches_the_oracle(dtype, tolerance):
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(20_000, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0.0, 3.0])
    points = points.to(dtype)
    count = len(points)
    ours, theirs = ([tensor.to(d) for tensor in state(count)] for d in (dtype, torch.float64))
    colored, expected = (
        [tensor.to(d) for tensor in (*state(count), torch.zeros(count, 3))] for d in (dtype, torch.float64)
    )
    stepped, theirs_stepped = ([tensor.to(d) for tensor in state(count)] for d in (dtype, torch.float64))
    labels = [torch.ones(count, dtype=torch.uint8) for _ in range(2)]
    normal = torch.tensor([0.0, 0.2, 1.0], dtype=torch.float64)
    for viewmat, lens, depth in plane_views(normal, 3.0):
        depth = depth + 0.1 * torch.rand(depth.shape, generator=generator, dtype=torch.float64)
        depth[torch.rand(depth.shape, generator=generator) < 0.1] = 0
        depth = depth.to(dtype)
        image = torch.rand(3, *depth.shape, generator=generator).to(dtype)
        camera = (viewmat, lens)
        fusion.fuse_depth(points, depth, *camera, *ours, 0.3)
        reference.fuse_depth(points.double(), depth.double(), *camera, *theirs, 0.3)
        fusion.fuse_depth(points, depth, *camera, *stepped, 0.3, nearest=True)
        reference.fuse_depth(points.double(), depth.double(), *camera, *theirs_stepped, 0.3, nearest=True)
        fusion.fuse_colors(points, depth, image, *camera, *colored, 0.3)
        reference.fuse_colors(points.double(), depth.double(), image.double(), *camera, *expected, 0.3)
        fusion.carve_labels(points, depth, *camera, labels[0])
        reference.carve_labels(points.double(), depth.double(), *camera, labels[1])
    assert 0.2 < (theirs[1] > 0).double().mean() < 0.9 and 0.1 < labels[1].double().mean() < 0.9
    for a, b in zip(ours + stepped + colored + labels[:1], theirs + theirs_stepped + expected + labels[1:]):
        wrong = (a.double() - b.double()).abs() > tolerance
        assert wrong.double().mean() < (1e-4 if dtype is torch.float32 else 1e-9)


@pytest.mark.parametrize("device", ["cpu"])
def test_result_does_not_depend_on_threads():
    points = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 3.0])
    depth = 2.5 + torch.rand(SIZE, generator=torch.Generator().manual_seed(1))
    results = []
    try:
        for threads in (1, 3):
            native.set_num_threads(threads)
            t, w = state(50_000)
            fusion.fuse_depth(points, depth, FRONT, K, t, w, 0.5)
            results.append((t, w))
    finally:
        native.set_num_threads(0)
    assert (results[0][1] > 0).sum() > 1000
    assert all(torch.equal(a, b) for a, b in zip(*results))


@pytest.mark.parametrize("device", ["cpu"])
def test_errors_name_the_argument():
    points = torch.zeros(3, 3)
    t, w = state(3)
    with pytest.raises(ValueError, match="value must have shape"):
        fusion.fuse_depth(points, flat(1), FRONT, K, t[:2], w, 0.1)
    with pytest.raises(ValueError, match="weight is changed in place"):
        fusion.fuse_depth(points, flat(1), FRONT, K, t, torch.zeros(3, 2)[:, 0], 0.1)
    with pytest.raises(ValueError, match="depth must be float32"):
        fusion.fuse_depth(points, flat(1).double(), FRONT, K, t, w, 0.1)
    with pytest.raises(ValueError, match="truncation must be"):
        fusion.fuse_depth(points, flat(1), FRONT, K, t, w, 0.0)
    with pytest.raises(ValueError, match="image must have shape"):
        fusion.fuse_colors(points, flat(1), torch.zeros(3, 2, 2), FRONT, K, t, w, points.clone(), 0.1)
    with pytest.raises(ValueError, match="labels must be uint8"):
        fusion.carve_labels(points, flat(1), FRONT, K, torch.ones(3))
