# SPDX-License-Identifier: Apache-2.0
"""Opacity of points (spec rasterization.md, 4; recipes T14, T15 of its 8.2)."""

import pytest
import torch

pytestmark = pytest.mark.parametrize("rasterizer", ["radegs", "gof"])


def random_points(count, seed=0, *, near=0.05, far=6.0):
    """In view space, some outside the image, some before the near plane."""
    uniform = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = near + far * uniform[:, 2]
    return torch.stack([1.3 * z * (uniform[:, 0] - 0.5), z * (uniform[:, 1] - 0.5), z], 1)


def through_pixels(scene, columns, rows, depth):
    """Points on rays through integer-centred pixel positions."""
    K = scene.K
    x, y = (columns + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1]
    return torch.stack([x * depth, y * depth, depth.expand_as(x)], 1)


def test_equals_the_dense_evaluation(random_scene, kernels, oracle, rasterizer):
    for seed in range(10):
        scene, points = random_scene(seed, size=(33, 50)), random_points(1000, seed)
        ours, wanted = (scene.opacity_at(points, rasterizer, renderer) for renderer in (kernels, oracle))
        assert 0.2 < (wanted == 1).double().mean() < 0.6 and ((wanted > 0.01) & (wanted < 0.99)).sum() > 200
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-11)


def test_single_precision(random_scene, kernels, rasterizer):
    for seed in range(5):
        scene, points = random_scene(seed, count=150).to(torch.float32), random_points(1000, seed).to(torch.float32)
        ours = scene.opacity_at(points, rasterizer, kernels)
        wanted = scene.to(torch.float64).opacity_at(points.double(), rasterizer, kernels)
        assert ((ours - wanted).abs() > 1e-5).double().mean() < 2e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (17, 16), (40, 300)])
def test_sizes_that_fill_no_tile(random_scene, kernels, oracle, rasterizer, size):
    scene, points = random_scene(31, size=size), random_points(500)
    ours, wanted = (scene.opacity_at(points, rasterizer, renderer) for renderer in (kernels, oracle))
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-11)


def test_long_lists_with_crowded_pixels(random_scene, kernels, oracle, rasterizer):
    """Hundreds of Gaussians, and many points in one pixel; some samples run out of light."""
    scene = random_scene(41, count=500, size=(20, 24), sh_degree=0)
    scene = scene.with_tensors(scales=3 * scene.tensors["scales"].clamp(max=0.5))
    depth = torch.linspace(0.3, 8.0, 150, dtype=torch.float64)
    at = torch.full_like(depth, 7.3), torch.full_like(depth, 11.8)
    points = torch.cat([through_pixels(scene, *at, depth), random_points(400)])
    ours, wanted = (scene.opacity_at(points, rasterizer, renderer) for renderer in (kernels, oracle))
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-11)


def test_behind_everything_it_is_the_pictures_alpha(random_scene, renderer, rasterizer):
    """T14. The picture stops at 1e-4 of the light; a point does not."""
    scene = random_scene(3, size=(24, 30))
    rows, columns = (grid.flatten().double() for grid in torch.meshgrid(
        torch.arange(24), torch.arange(30), indexing="ij"))  # fmt: skip
    points = through_pixels(scene, columns, rows, torch.tensor(1e3, dtype=torch.float64))
    picture = (scene.gof if rasterizer == "gof" else scene.geometry)(renderer).alpha.flatten()
    opacity = scene.opacity_at(points, rasterizer, renderer)
    assert picture.max() > 0.99
    assert (opacity >= picture - 1e-8).all() and (opacity - picture).max() < 1e-4
    assert (opacity - picture).abs().median() < 1e-8


def test_in_front_of_everything_it_is_nothing(scene, intrinsics, renderer, rasterizer):
    one = scene([[0.1, 0.0, 3.0]], [0.1], [0.9], intrinsics(64, 64, 32, 32), (64, 64))
    line = torch.tensor([[0.1, 0.0, 3.0]]).double() * torch.linspace(0.1, 3.0, 30, dtype=torch.float64)[:, None]
    opacity = one.opacity_at(line, rasterizer, renderer)
    assert (opacity[line[:, 2] <= 0.2] == 1).all()                         # before the near plane: not seen
    assert (opacity[(line[:, 2] > 0.2) & (line[:, 2] < 2.6)] == 0).all()   # more than 3.3 standard deviations away
    # One standard deviation before the mean of an isotropic Gaussian.
    before = one.opacity_at(torch.tensor([[0.1 * (1 - 0.1 / 3), 0.0, 2.9]]).double(), rasterizer, renderer)
    assert before.item() == pytest.approx(0.9 * 0.60653, rel=3e-3)


def test_grows_along_every_ray(random_scene, renderer, rasterizer):
    """T14."""
    scene, depth = random_scene(5, count=100), torch.linspace(0.25, 9.0, 60, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        column, row = 50 * torch.rand(1, generator=generator).item(), 35 * torch.rand(1, generator=generator).item()
        points = through_pixels(scene, torch.full_like(depth, column), torch.full_like(depth, row), depth)
        opacity = scene.opacity_at(points, rasterizer, renderer)
        assert (opacity.diff() >= -1e-8).all() and opacity[-1] > opacity[0]


def test_a_flat_gaussian_is_a_disc(scene, intrinsics, renderer, rasterizer):
    """Nothing before it, all of it behind it."""
    disc = scene([[0.0, 0.0, 2.0]], [[0.2, 0.2, 1e-5]], [0.8], intrinsics(64, 64, 32, 32), (64, 64))
    points = torch.tensor([[0.01, 0.01, 1.99], [0.01, 0.01, 2.01], [0.01, 0.01, 1.0]]).double()
    before, behind, far = disc.opacity_at(points, rasterizer, renderer).tolist()
    assert before == far == 0
    assert behind == pytest.approx(0.8 * 0.9975, rel=1e-3)


def test_a_sample_without_light_for_one_has_some_for_a_fainter_one(scene, intrinsics, renderer, rasterizer):
    """The third layer would leave 4e-6 of the light and is passed over; the fourth leaves 2e-4 and counts [Q13]."""
    opacities, depths = [0.98, 0.98, 0.99, 0.4], [2.0, 3.0, 4.0, 5.0]
    K = intrinsics(32, 32, 8.5, 8.5)
    four = scene([[0, 0, z] for z in depths], [40.0 * z for z in depths], opacities, K, (17, 17))
    # Wide Gaussians: at depth 6 a point is behind no peak, but is as opaque as at the peaks.
    opacity = four.opacity_at(torch.tensor([[0.0, 0.0, 6.0]]).double(), rasterizer, renderer).item()
    assert 1 - opacity == pytest.approx(0.02 * 0.02 * 0.6, rel=1e-3)


def test_a_gaussian_between_the_samples_does_not_count(scene, intrinsics, renderer, rasterizer):
    """A point on a Gaussian far below a pixel, of which neither the centre nor a corner sees anything."""
    K = intrinsics(64, 64, 32, 32)
    tiny = scene([[0.25 / 64 * 2, 0.25 / 64 * 2, 2.0]], [5e-4 if rasterizer == "gof" else 2e-3], [0.9], K, (64, 64))
    point = torch.tensor([[0.25 / 64 * 2, 0.25 / 64 * 2, 2.1]]).double()
    assert tiny.opacity_at(point * torch.tensor([1.05, 1.05, 1.0]), rasterizer, renderer) == 0
    larger = tiny.with_tensors(scales=torch.full((1, 3), 0.03).double())
    assert larger.opacity_at(point, rasterizer, renderer) > 0.5


def test_points_that_are_not_seen(random_scene, renderer, rasterizer):
    scene = random_scene(7)
    points = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 0.199], [50.0, 0.0, 2.0], [0.0, -50.0, 2.0]]).double()
    assert (scene.opacity_at(points, rasterizer, renderer) == 1).all()
    assert scene.opacity_at(points[:0], rasterizer, renderer).shape == (0,)
    nobody = scene.rows(slice(0, 0))
    assert nobody.opacity_at(torch.tensor([[0.0, 0.0, 2.0]]).double(), rasterizer, renderer) == 0


def test_order_and_number_of_threads_do_not_matter(random_scene, kernels, threads, rasterizer):
    scene, points = random_scene(8, count=400, size=(70, 90)).to(torch.float32), random_points(3000).to(torch.float32)
    shuffle = torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    wanted = scene.opacity_at(points, rasterizer, kernels)
    for count in (1, 3):
        threads(count)
        assert torch.equal(scene.opacity_at(points[shuffle], rasterizer, kernels), wanted[shuffle])


def test_errors_name_the_argument(random_scene, kernels, rasterizer):
    scene, points = random_scene(10), random_points(5)
    rest = (*(scene.tensors[name] for name in ("means", "scales", "quats", "opacities")), scene.viewmat, scene.K)
    with pytest.raises(ValueError, match=r"points must have shape \[P, 3\]"):
        kernels.integrate_points(points[:, :2], *rest, scene.size)
    with pytest.raises(ValueError, match="points must be float64"):
        kernels.integrate_points(points.float(), *rest, scene.size)
    with pytest.raises(ValueError, match="rasterizer must be one of radegs, gof, not 'splat'"):
        scene.opacity_at(points, "splat", kernels)
