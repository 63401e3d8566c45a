# SPDX-License-Identifier: Apache-2.0
"""Kernels against the dense oracle: images, statistics, and the gradient of every output alone in every input."""

import pytest
import torch

MAPS = {
    "geometry": ("image", "alpha", "expected_depth", "median_depth", "normal"),
    "gof": ("image", "alpha", "median_depth", "normal"),
    "train": ("image",),
}
# Double precision, but the determinant of a thin Gaussian seen edge-on cancels: a c - b^2 keeps only 10 digits there.
EXACT = 1e-9


def flips(ours, wanted, tolerance):
    """Share of pixels that differ: isolated ones may, where a threshold of the compositing lies within rounding."""
    differs = (ours - wanted).abs() > tolerance * (1 + wanted.abs())
    return (differs.any(0) if differs.dim() == 3 else differs).double().mean().item()


@pytest.mark.parametrize("rasterise", ["geometry", "gof"])
@pytest.mark.parametrize("kernel_size", [0.0, 0.3])
def test_geometry_images_in_double(random_scene, kernels, oracle, rasterise, kernel_size):
    for seed in range(25):
        scene = random_scene(seed).with_options(kernel_size=kernel_size)
        ours, wanted = getattr(scene, rasterise)(kernels), getattr(scene, rasterise)(oracle)
        assert torch.equal(ours.radii, wanted.radii), seed
        for name in MAPS[rasterise]:
            assert flips(getattr(ours, name), getattr(wanted, name), EXACT) == 0, (seed, name)


def test_train_images_statistics_and_depth_in_double(random_scene, kernels, oracle):
    for seed in range(25):
        scene = random_scene(seed)
        cull = torch.rand(60, generator=torch.Generator().manual_seed(seed)) < 0.1
        scene = scene.with_options(cull=cull)
        ours, wanted = scene.train(kernels), scene.train(oracle)
        assert flips(ours.image, wanted.image, EXACT) == 0, seed
        assert torch.equal(ours.radii, wanted.radii) and torch.equal(ours.area_max, wanted.area_max), seed
        assert (ours.radii[cull] == 0).all() and wanted.radii.count_nonzero() > 20

        ours, wanted = scene.stats(kernels), scene.stats(oracle)
        torch.testing.assert_close(ours.accum_weights, wanted.accum_weights, rtol=EXACT, atol=EXACT)
        for name in ("radii", "area_proj", "area_max"):
            assert torch.equal(getattr(ours, name), getattr(wanted, name)), (seed, name)

        ours, wanted = scene.depth(kernels), scene.depth(oracle)
        assert torch.equal(ours.index, wanted.index), seed
        for name in ("points", "depth", "transmittance"):
            assert flips(getattr(ours, name), getattr(wanted, name), EXACT) == 0, (seed, name)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (16, 33), (17, 16)])
def test_sizes_that_fill_no_tile(random_scene, kernels, oracle, gradients, size):
    scene = random_scene(31, size=size)
    for rasterise, names in MAPS.items():
        ours, wanted = getattr(scene, rasterise)(kernels), getattr(scene, rasterise)(oracle)
        assert torch.equal(ours.radii, wanted.radii)
        for name in names:
            assert flips(getattr(ours, name), getattr(wanted, name), EXACT) == 0, name
        assert_gradients_match(
            gradients(scene, rasterise, kernels, names), gradients(scene, rasterise, oracle, names), 1e-8
        )


def test_long_lists_of_faint_gaussians(random_scene, kernels, oracle, gradients):
    """Hundreds of Gaussians in one tile, in front of each other, the pixels stopping at different ones."""
    scene = random_scene(41, count=700, size=(20, 24), sh_degree=1)
    scales = scene.tensors["scales"].clamp(max=0.5)
    scene = scene.with_tensors(scales=3 * scales, opacities=0.02 + 0.1 * scene.tensors["opacities"])
    drawn = scene.stats(oracle).area_proj
    assert (drawn > 0).sum() > 400 and torch.equal(scene.stats(kernels).area_proj, drawn)
    for rasterise, names in MAPS.items():
        ours, wanted = getattr(scene, rasterise)(kernels), getattr(scene, rasterise)(oracle)
        for name in names:
            assert flips(getattr(ours, name), getattr(wanted, name), EXACT) == 0, name
        assert_gradients_match(
            gradients(scene, rasterise, kernels, names), gradients(scene, rasterise, oracle, names), 1e-8
        )


def test_images_in_float(random_scene, kernels):
    """Single against double precision: 999 pixels of 1000 agree."""
    total = {}
    for seed in range(8):
        scene = random_scene(seed, count=150)
        single, double = scene.to(torch.float32), scene.to(torch.float32).to(torch.float64)
        for op, names in (MAPS | {"depth": ("depth", "transmittance")}).items():
            ours, wanted = getattr(single, op)(kernels), getattr(double, op)(kernels)
            for name in names:
                # The slope of a plane seen edge-on magnifies the rounding of the projected mean.
                tolerance = {"image": 2e-5, "alpha": 2e-5, "transmittance": 2e-5, "normal": 1e-3}.get(name, 1e-4)
                share = flips(getattr(ours, name).double(), getattr(wanted, name), tolerance)
                total[op, name] = total.get((op, name), 0) + share / 8
    allowed = {("geometry", "expected_depth"): 5e-3, ("geometry", "median_depth"): 5e-3, ("geometry", "normal"): 5e-3}
    for key, share in total.items():
        assert share <= allowed.get(key, 1e-3), (key, share)


def assert_gradients_match(ours, wanted, tolerance):
    """Each tensor within tolerance of the largest entry of the oracle's."""
    for output in wanted:
        for name, theirs in wanted[output].items():
            mine = ours[output][name]
            assert torch.isfinite(mine).all(), (output, name)
            worst = (mine - theirs).abs().max().item()
            assert worst <= tolerance * theirs.abs().max().item(), (output, name, worst, theirs.abs().max().item())


@pytest.mark.parametrize("rasterise", ["geometry", "gof"])
@pytest.mark.parametrize(
    ("seed", "kernel_size", "sh_degree"), [(0, 0.0, 3), (1, 0.0, 1), (2, 0.3, 2), (3, 0.1, 0), (4, 0.0, 3)]
)
def test_geometry_gradients_in_double(
    random_scene, kernels, oracle, gradients, rasterise, seed, kernel_size, sh_degree
):
    scene = random_scene(seed, sh_degree=sh_degree).with_options(kernel_size=kernel_size)
    outputs = MAPS[rasterise]
    wanted = gradients(scene, rasterise, oracle, outputs)
    for output in outputs:                                # every path of the maths is really walked
        for name in ("means", "scales", "quats", "screen_grad"):
            # GOF's depth is not that of the projected mean.
            nothing = (rasterise, output, name) == ("gof", "median_depth", "screen_grad")
            assert (wanted[output][name].abs().max() > 0) != nothing, (output, name)
    assert_gradients_match(gradients(scene, rasterise, kernels, outputs), wanted, 1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_train_gradients_in_double(random_scene, kernels, oracle, gradients, seed):
    scene = random_scene(seed, sh_degree=seed % 4)
    wanted = gradients(scene, "train", oracle, ["image"])
    assert wanted["image"]["screen_grad"][:, 2].abs().max() == 0
    assert_gradients_match(gradients(scene, "train", kernels, ["image"]), wanted, 1e-8)


@pytest.mark.parametrize("rasterise", ["geometry", "gof"])
def test_all_outputs_together(random_scene, kernels, gradients, rasterise):
    """The gradient of the sum is the sum of the gradients (third screen column aside: it sums absolute values)."""
    scene, outputs = random_scene(11), MAPS[rasterise]
    alone = gradients(scene, rasterise, kernels, outputs)
    leaves = scene.leaves()
    rendered, generator = getattr(leaves, rasterise)(kernels), torch.Generator().manual_seed(0)
    loss = 0
    for name in outputs:
        image = getattr(rendered, name)
        loss = loss + (image * torch.randn(image.shape, generator=generator, dtype=torch.float64)).sum()
    loss.backward()
    for name, leaf in leaves.tensors.items():
        wanted = sum(alone[output][name] for output in outputs)
        columns = slice(2) if name == "screen_grad" else slice(None)
        worst = (leaf.grad - wanted)[..., columns].abs().max()
        assert worst <= 1e-9 * wanted.abs().max(), name


@pytest.mark.parametrize("rasterise", MAPS)
def test_gradients_in_float(random_scene, kernels, gradients, rasterise):
    outputs = MAPS[rasterise]
    for seed in (0, 5):
        scene = random_scene(seed, count=120, tame=True).to(torch.float32)
        ours = gradients(scene, rasterise, kernels, outputs)
        wanted = gradients(scene.to(torch.float64), rasterise, kernels, outputs)
        for output in outputs:
            for name, theirs in wanted[output].items():
                if not theirs.any():
                    continue
                mine = ours[output][name].double()
                cosine = torch.nn.functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0).item()
                close = ((mine - theirs).abs() <= 1e-3 * theirs.abs().max()).double().mean().item()
                assert cosine > 0.9999 and close >= 0.99, (seed, output, name, cosine, close)
