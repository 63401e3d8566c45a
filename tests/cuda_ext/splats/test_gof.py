# SPDX-License-Identifier: Apache-2.0
"""What GOF alone promises (spec rasterization.md, 3): the exact maximum along each ray, in single precision too."""

import math

import pytest
import torch


def test_thin_gaussians_keep_their_opacity_in_single_precision(scene, intrinsics, renderer):
    """Q23: five units away and half a pixel thick, from all sides. By differences of large numbers the exponent would
    be wrong by 0.04 in the median, and up to 0.5."""
    generator = torch.Generator().manual_seed(0)
    for k in range(60):
        quats = torch.randn(1, 4, generator=generator)
        one = scene([[0.02, -0.03, 5.0]], [[0.06, 0.04, 0.0025]], [0.9], intrinsics(1000, 1000, 20, 20), (40, 40),
                    quats=quats.tolist()).to(torch.float32)  # fmt: skip
        ours, wanted = one.gof(renderer), one.to(torch.float64).gof(renderer)
        seen = (ours.alpha > 0) & (wanted.alpha > 0)
        assert seen.sum() > 50, k
        assert (ours.alpha - wanted.alpha)[seen].abs().max() < 1e-4, k
        assert ((ours.median_depth - wanted.median_depth)[seen].abs() < 1e-4).all(), k


def test_not_drawn_where_it_is_densest_before_the_near_plane(scene, intrinsics, renderer):
    """A needle that points past the camera: its centre is beyond the near plane, one end is not."""
    angle = math.radians(30)   # about the vertical axis, from the optical axis
    needle = scene([[0.0, 0.0, 0.4]], [[0.02, 0.02, 0.3]], [0.9], intrinsics(30, 30, 32, 8), (16, 64),
                   quats=[[math.cos(angle / 2), 0, math.sin(angle / 2), 0]])  # fmt: skip
    everything, cut = (needle.with_options(near=near).gof(renderer) for near in (0.01, 0.35))
    row = 8
    drawn = everything.alpha[row] > 0
    beyond = everything.median_depth[row] > 0.35
    assert (drawn & beyond).sum() > 2 and (drawn & ~beyond).sum() > 2
    assert torch.equal(cut.alpha[row] > 0, drawn & beyond)
    torch.testing.assert_close(cut.median_depth[row][beyond], everything.median_depth[row][beyond])


def test_depth_and_normal_are_those_of_the_ray_not_of_the_centre(scene, intrinsics, renderer):
    """An isotropic Gaussian: a ray is densest at the foot of the perpendicular, and the normal is the ray reversed."""
    one = scene([[0.4, -0.2, 2.0]], [0.3], [0.8], intrinsics(40, 40, 20, 16), (32, 40))
    drawn, mean = one.gof(renderer), torch.tensor([0.4, -0.2, 2.0]).double()
    rows, columns = torch.nonzero(drawn.alpha > 0.02, as_tuple=True)
    assert len(rows) > 100
    rays = torch.stack([(columns + 0.5 - 20) / 40, (rows + 0.5 - 16) / 40, torch.ones(len(rows))], 1).double()
    depth = (rays @ mean) / rays.square().sum(1)
    torch.testing.assert_close(drawn.median_depth[rows, columns], depth)
    torch.testing.assert_close(drawn.normal[:, rows, columns].T, -rays / rays.norm(dim=1, keepdim=True))
    square = (rays * depth[:, None] - mean).square().sum(1) / (0.09 + 1e-7)
    torch.testing.assert_close(drawn.alpha[rows, columns], 0.8 * torch.exp(-square / 2), rtol=1e-5, atol=0)


def test_the_screen_statistic_is_nearly_that_of_the_other_rasteriser(random_scene, kernels, gradients):
    """Small Gaussians look alike to both."""
    scene = random_scene(3, count=40, tame=True)
    scene = scene.with_tensors(scales=0.1 + 0.02 * scene.tensors["scales"])
    gof, radegs = (gradients(scene, name, kernels, ["image"])["image"]["screen_grad"] for name in ("gof", "geometry"))
    assert torch.nn.functional.cosine_similarity(gof.flatten(), radegs.flatten(), dim=0) > 0.99
    assert (gof[:, 2] >= gof[:, :2].abs().sum(1) * 0.999999).all()


@pytest.mark.parametrize("name", ["expected_depth", "median_depth"])
def test_both_depths_are_one_map_and_add_up_their_gradients(random_scene, kernels, name):
    scene = random_scene(2, tame=True).leaves()
    drawn = scene.gof(kernels)
    assert torch.equal(drawn.expected_depth, drawn.median_depth)
    (one,) = torch.autograd.grad(getattr(drawn, name).sum(), scene.tensors["means"], retain_graph=True)
    (both,) = torch.autograd.grad((drawn.expected_depth + drawn.median_depth).sum(), scene.tensors["means"])
    torch.testing.assert_close(both, 2 * one)
