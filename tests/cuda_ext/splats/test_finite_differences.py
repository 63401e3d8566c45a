# SPDX-License-Identifier: Apache-2.0
"""Gradients against central differences, in double, on scenes away from every kink."""

import pytest
import torch

MAPS = ("image", "alpha", "expected_depth", "median_depth", "normal")


def slopes(scene, name, direction, value, step):
    """Difference quotients of value(scene) ahead, behind and across, along a direction in one input."""
    def at(distance):
        return value(scene.with_tensors(**{name: scene.tensors[name] + distance * direction})).item()

    ahead, here, behind = at(step), at(0.0), at(-step)
    return (ahead - here) / step, (here - behind) / step, (ahead - behind) / (2 * step)


def check(scene, rasterise, renderer, output, weights):
    def value(scene):
        return (getattr(getattr(scene, rasterise)(renderer), output) * weights).sum()

    leaves = scene.leaves()
    value(leaves).backward()
    generator = torch.Generator().manual_seed(1)
    checked = 0
    for name, tensor in scene.tensors.items():
        grad = leaves.tensors[name].grad
        if grad is None or not grad.any():
            continue
        # Along the gradient's signs, with random lengths: nothing cancels.
        direction = grad.sign() * torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        direction = direction * tensor.abs().mean()
        ahead, behind, across = slopes(scene, name, direction, value, 2e-7)
        wanted = (grad * direction).sum().item()
        assert abs(ahead - behind) < 2e-3 * abs(across), f"a mask changes on the way along {name}: choose another seed"
        assert across == pytest.approx(wanted, rel=1e-5), (output, name)
        checked += 1
    return checked


@pytest.mark.parametrize("output", MAPS)
@pytest.mark.parametrize("kernel_size", [0.0, 0.3])
def test_geometry(random_scene, renderer, output, kernel_size):
    # The true derivative for the oracle; the kernels' damping is far below the tolerance at these sizes.
    scene = random_scene(21, count=25, size=(33, 40), tame=True).with_options(kernel_size=kernel_size)
    if renderer.__name__ == "oracle":
        scene = scene.with_options(damping=0.0)
    shape = getattr(scene.geometry(renderer), output).shape
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert check(scene, "geometry", renderer, output, weights) >= {"image": 6, "normal": 4, "alpha": 4}.get(output, 3)


@pytest.mark.parametrize("output", ["image", "alpha", "median_depth", "normal"])
def test_gof(random_scene, renderer, output):
    # Without low-pass: no gradient passes through what it takes from the opacities.
    scene = random_scene(21, count=25, size=(33, 40), tame=True)
    shape = getattr(scene.gof(renderer), output).shape
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = {"image": 6, "alpha": 4, "median_depth": 3, "normal": 4}
    assert check(scene, "gof", renderer, output, weights) == wanted[output]


def test_train(random_scene, renderer):
    scene = random_scene(22, count=25, size=(33, 40), tame=True)
    weights = torch.randn(3, 33, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert check(scene, "train", renderer, "image", weights) == 6


def test_screen_grad_is_the_derivative_in_the_projected_mean(scene, intrinsics, renderer):
    """Moving a camera's principal point by half an image moves every mean by one NDC unit."""
    K = intrinsics(40, 50, 15.3, 12.1)
    one = scene([[0.1, 0.05, 2.0]], [0.2], [0.7], K, (24, 32))
    weights = torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for rasterise in ("geometry", "train"):
        def value(shift_x, shift_y):
            moved = type(one)(one.tensors, one.viewmat, K + intrinsics(0, 0, shift_x, shift_y) * K.new_tensor(
                [[1, 1, 1], [1, 1, 1], [0, 0, 0]]), one.size, one.options)
            return (getattr(moved, rasterise)(renderer).image * weights).sum().item()  # noqa: B023

        leaves = one.leaves()
        (getattr(leaves, rasterise)(renderer).image * weights).sum().backward()
        step = 1e-6
        x = (value(step, 0) - value(-step, 0)) / (2 * step) * 32 / 2
        y = (value(0, step) - value(0, -step)) / (2 * step) * 24 / 2
        grad = leaves.tensors["screen_grad"].grad[0]
        assert grad[:2].tolist() == pytest.approx([x, y], rel=1e-5)
        if rasterise == "geometry":
            assert grad[2] >= grad[:2].abs().sum() * 0.999999      # sum of sizes >= size of the sum
        else:
            assert grad[2] == 0
