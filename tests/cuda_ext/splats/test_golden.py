# SPDX-License-Identifier: Apache-2.0
"""Values known by hand (spec rasterization.md, 8.3) for kernels and oracle alike."""

import math

import pytest
import torch

DTYPES = [torch.float64, torch.float32]


def near(value, wanted, dtype, digits=7):
    tolerance = 0.51 * 10.0**-digits if dtype == torch.float64 else 2e-5
    value, wanted = torch.as_tensor(value).double(), torch.as_tensor(wanted, dtype=torch.float64)
    return (value - wanted).abs().max() <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
def test_s1_isotropic(renderer, scene, intrinsics, dtype):
    s1 = scene([[0, 0, 2]], [0.1], [0.8], intrinsics(64, 64, 32, 32), (64, 64)).to(dtype)
    geometry, train, depth = s1.geometry(renderer), s1.train(renderer), s1.depth(renderer)
    gof = s1.gof(renderer)
    assert geometry.radii.tolist() == [10] and train.radii.tolist() == [11] and gof.radii.tolist() == [10]
    for (i, j), r_alpha, r_depth, m_alpha, m_depth, g_alpha in [
        ((32, 32), 0.7807056, 2.0, 0.7812479, 1.9997559, 0.7807081),
        ((36, 30), 0.2666613, 1.9951350, 0.2751315, 1.9890737, 0.2682696),
    ]:
        assert near(geometry.alpha[j, i], r_alpha, dtype)
        assert near(geometry.image[:, j, i], 3 * [r_alpha], dtype)
        assert near(geometry.expected_depth[j, i], r_depth, dtype)
        assert near(geometry.median_depth[j, i], r_depth, dtype)
        assert near(geometry.normal[:, j, i], [0, 0, -1], dtype)
        assert near(train.image[:, j, i], 3 * [m_alpha], dtype)
        assert near(1 - depth.transmittance[j, i], m_alpha, dtype)
        assert near(depth.depth[j, i], m_depth, dtype)
        ray = torch.tensor([(i + 0.5 - 32) / 64, (j + 0.5 - 32) / 64, 1])
        assert near(depth.points[:, j, i], m_depth * ray, dtype, 6)
        assert depth.index[j, i] == 0
        assert near(gof.alpha[j, i], g_alpha, dtype)
        assert near(gof.image[:, j, i], 3 * [g_alpha], dtype)
        assert near(gof.median_depth[j, i], m_depth, dtype) and near(gof.expected_depth[j, i], m_depth, dtype)
        assert near(gof.normal[:, j, i], -ray / ray.norm(), dtype, 6)
    assert depth.index[0, 0] == -1 and depth.depth[0, 0] == 0 and depth.transmittance[0, 0] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_s2_anisotropic(renderer, scene, intrinsics, dtype):
    s2 = scene([[0.3, -0.2, 2.5]], [[0.25, 0.1, 0.02]], [0.9], intrinsics(100, 110, 60, 45), (90, 120),
               quats=[[0.8, 0.2, -0.4, 0.3]]).to(dtype)  # fmt: skip
    geometry, train, depth = s2.geometry(renderer), s2.train(renderer), s2.depth(renderer)
    i, j = 70, 40
    assert geometry.radii.tolist() == [18]
    assert near(geometry.alpha[j, i], 0.5614938, dtype)
    assert near(geometry.expected_depth[j, i], 2.5670326, dtype)
    assert near(geometry.median_depth[j, i], 2.5670326, dtype)
    assert near(geometry.normal[:, j, i], [0.55186216, 0.60157337, -0.57754449], dtype)
    assert near(train.image[0, j, i], 0.5654541, dtype, 6)
    assert near(depth.depth[j, i], 2.5694690, dtype, 6)
    gof = s2.gof(renderer)
    assert gof.radii.tolist() == [18]
    assert near(gof.alpha[j, i], 0.5467093 * 1.0000005, dtype, 6)
    assert near(gof.median_depth[j, i], 2.5694690, dtype)
    assert near(gof.normal[:, j, i], [0.5535988, 0.5994630, -0.5780765], dtype)
    low_passed = s2.with_options(kernel_size=0.3).gof(renderer)
    assert near(low_passed.alpha[j, i], 0.5467093 * 0.98708502, dtype, 6)


def test_s2_parts_of_the_oracle(oracle, scene, intrinsics):
    """Intermediate values, which only the oracle shows."""
    from milo.cuda_ext.reference import projection

    K = intrinsics(100, 110, 60, 45)
    s2 = scene([[0.3, -0.2, 2.5]], [[0.25, 0.1, 0.02]], [0.9], K, (90, 120), quats=[[0.8, 0.2, -0.4, 0.3]])
    tensors = s2.tensors
    seen = projection.project(tensors["means"], tensors["scales"], tensors["quats"], s2.viewmat, K, s2.size)
    exact = torch.float64
    assert near(seen.mean2d, [[71.5, 35.7]], exact, 6)
    assert near(seen.cov2d, [[21.32986876, 7.71309804, 30.76776865]], exact)
    assert near(projection.conic(seen.cov2d), [[0.05155625, -0.01292451, 0.03574156]], exact)
    assert near(projection.compensation(seen.cov2d, 0.0), [1.0000005], exact)
    assert near(projection.compensation(seen.cov2d, 0.3), [0.98708502], exact)
    plane = projection.plane(seen, tensors["scales"], s2.viewmat, K)
    assert near(plane.distance, [2.52586619], exact)
    assert near(plane.slope, [[-0.02788549, -0.02289193]], exact)


@pytest.mark.parametrize("degrees", [0, 30, 60])
def test_s3_plane_of_flat_gaussians(renderer, scene, intrinsics, degrees):
    angle, fx = math.radians(degrees), 200.0
    steps = torch.arange(-14, 15) * 0.05
    u, v = (grid.flatten() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    # The plane turns around the vertical axis, at depth 4.
    means = torch.stack([u * math.cos(angle), v, 4 + u * math.sin(angle)], 1)
    count = len(means)
    plane = scene(
        means.tolist(), [[0.05, 0.05, 1e-3]] * count, [0.95] * count, intrinsics(fx, fx, 20, 16), (32, 40),
        quats=[[math.cos(angle / 2), 0, -math.sin(angle / 2), 0]] * count,
    ).to(torch.float32)  # fmt: skip
    normal = torch.tensor([math.sin(angle), 0, -math.cos(angle)])
    geometry, gof, depth = plane.geometry(renderer), plane.gof(renderer), plane.depth(renderer)
    inside = (slice(8, 24), slice(12, 28))
    for rendered in (geometry, gof):
        assert rendered.alpha[inside].min() > 0.999
        assert (rendered.normal[:, inside[0], inside[1]] - normal[:, None, None]).abs().max() < 1e-3

    columns = (torch.arange(40) + 0.5 - 20) / fx
    truth = (4 * math.cos(angle) / (math.cos(angle) - columns * math.sin(angle))).expand(32, 40)
    assert ((depth.depth - truth) / truth)[inside].abs().max() < 1e-4
    assert ((gof.median_depth - truth) / truth)[inside].abs().max() < 1e-4
    # The affine depth and the missing half pixel [Q5] cost a little more.
    assert ((geometry.median_depth - truth) / truth)[inside].abs().max() < 2e-3
    assert ((geometry.expected_depth - truth) / truth)[inside].abs().max() < 2e-3


def layers(scene, intrinsics, opacities, depths=None):
    """Wide Gaussians behind one another, so that the centre pixel sees their opacities as they are."""
    depths = depths or [2.0 + k for k in range(len(opacities))]
    colours = [[float(k == channel) for channel in range(3)] for k in range(len(depths))]
    K = intrinsics(32, 32, 8.5, 8.5)
    return scene([[0, 0, z] for z in depths], [20.0 * z for z in depths], opacities, K, (17, 17), colours=colours)


def test_s4_two_layers(renderer, scene, intrinsics):
    two = layers(scene, intrinsics, [0.6, 0.9])
    geometry, train, stats = two.geometry(renderer), two.train(renderer), two.stats(renderer)
    gof = two.gof(renderer)
    for image in (geometry.image, train.image, gof.image):
        assert image[:, 8, 8].tolist() == pytest.approx([0.6, 0.36, 0.0], abs=1e-5)
    for rendered in (geometry, gof):
        assert rendered.alpha[8, 8] == pytest.approx(0.96, abs=1e-5)
        assert rendered.median_depth[8, 8] == pytest.approx(2.0, abs=1e-3)
    assert stats.area_max.tolist() == [17 * 17, 0] and stats.area_proj.tolist() == [17 * 17, 17 * 17]
    assert (two.depth(renderer).index == 0).all()


@pytest.mark.parametrize(("front", "wanted"), [(0.51, 2.0), (0.5, 2.0), (0.4, 3.0)])
def test_s4_median_is_where_half_the_light_is_gone(renderer, scene, intrinsics, front, wanted):
    two = layers(scene, intrinsics, [front, 0.9])
    for rendered in (two.geometry(renderer), two.gof(renderer)):
        assert rendered.median_depth[8, 8] == pytest.approx(wanted, abs=1e-3)


def test_s4_stops_before_light_is_gone(renderer, scene, intrinsics):
    four = layers(scene, intrinsics, [0.6, 0.9, 0.99, 0.99])
    assert (four.stats(renderer).area_proj > 0).tolist() == [True, True, True, False]
    for rendered in (four.geometry(renderer), four.gof(renderer)):
        assert rendered.alpha[8, 8] == pytest.approx(1 - 4e-4, abs=1e-5)


def test_s5_second_layer_of_99_percent_is_not_drawn_in_float(renderer, scene, intrinsics):
    two = layers(scene, intrinsics, [1.0, 1.0]).to(torch.float32)
    assert two.stats(renderer).area_proj.tolist() == [17 * 17, 0]
    for rendered in (two.geometry(renderer), two.gof(renderer)):
        assert rendered.alpha[8, 8].item() == pytest.approx(0.99, abs=1e-7)
