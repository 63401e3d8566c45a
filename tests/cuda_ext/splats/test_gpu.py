# SPDX-License-Identifier: Apache-2.0
"""What only the GPU's rasterisers can get wrong."""

import pytest
import torch

from milo.cuda_ext import gof, splats

pytestmark = pytest.mark.gpu

MAPS = ("image", "alpha", "expected_depth", "median_depth", "normal")


@pytest.fixture
def both():
    """Rasterisers that run where the tensors are."""
    class Both:
        rasterize_geometry, rasterize_train, rasterize_gof = (
            staticmethod(f) for f in (splats.rasterize_geometry, splats.rasterize_train, gof.rasterize_gof)
        )

    return Both


def on_gpu(scene):
    def move(held):
        return {key: value.to("cuda") if isinstance(value, torch.Tensor) else value for key, value in held.items()}

    viewmat, K = scene.viewmat.to("cuda"), scene.K.to("cuda")
    return type(scene)(move(scene.tensors), viewmat, K, scene.size, move(scene.options))


def differing(ours, wanted, tolerance):
    """Share of entries that differ: thresholds of the compositing may flip on isolated pixels."""
    return ((ours.cpu() - wanted).abs() > tolerance * (1 + wanted.abs())).double().mean().item()


def distance(ours, wanted):
    return ((ours.cpu() - wanted).norm() / wanted.norm().clamp_min(1e-30)).item()


@pytest.mark.parametrize("size", [(230, 310), (1100, 2000)])   # the second has more cells than 16 bits can count
def test_single_precision_is_that_of_the_cpu(random_scene, both, size):
    scene = random_scene(51, count=2000, size=size).to(torch.float32)
    scene = scene.with_tensors(scales=0.3 * scene.tensors["scales"])
    for rasterise, names in (("geometry", MAPS), ("gof", MAPS), ("train", ("image",))):
        ours, wanted = getattr(on_gpu(scene), rasterise)(both), getattr(scene, rasterise)(both)
        assert differing(ours.radii, wanted.radii, 0) <= 1e-3
        for name in names:
            tolerance = 1e-3 if name in ("normal", "expected_depth", "median_depth") else 1e-4
            assert differing(getattr(ours, name), getattr(wanted, name), tolerance) <= 2e-3, name
        if rasterise == "train":
            assert (ours.area_max.cpu() - wanted.area_max).abs().sum() <= 1e-3 * wanted.area_max.sum()
    ours, wanted = on_gpu(scene).stats(splats), scene.stats(splats)
    assert distance(ours.accum_weights, wanted.accum_weights) < 1e-4
    assert (ours.area_proj.cpu() - wanted.area_proj).abs().sum() <= 1e-4 * wanted.area_proj.sum()


def test_gradients_in_single_precision(random_scene, kernels, gradients):
    scene = random_scene(52, count=1000, size=(230, 310), tame=True).to(torch.float32)
    scene = scene.with_tensors(scales=0.3 * scene.tensors["scales"])
    for rasterise, names in (("geometry", MAPS), ("gof", MAPS), ("train", ("image",))):
        ours = gradients(scene, rasterise, kernels, names)
        wanted = gradients(scene.to(torch.float64), rasterise, kernels, names)
        for output in names:
            for name, gradient in wanted[output].items():
                assert distance(ours[output][name].double(), gradient) < 5e-3, (rasterise, output, name)


def test_works_on_the_current_stream(random_scene):
    scene = on_gpu(random_scene(53, count=3000, size=(200, 300)).to(torch.float32))
    wanted = scene.geometry(splats)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)                  # work on the default stream would not wait for this
        means = scene.tensors["means"] + 0.0
        ours = scene.with_tensors(means=means).geometry(splats)
    torch.cuda.current_stream().wait_stream(stream)
    assert all(torch.equal(a, b) for a, b in zip(ours, wanted))


def test_backward_never_waits(random_scene):
    scene = on_gpu(random_scene(54, count=500).to(torch.float32)).leaves()
    rendered = scene.geometry(splats), scene.gof(gof)
    loss = sum(getattr(each, name).square().sum() for each in rendered for name in MAPS)
    loss = loss + scene.train(splats).image.square().sum()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(tensor.grad).all() for tensor in scene.tensors.values())


def test_tensors_on_two_devices_are_named(random_scene):
    scene = random_scene(55).to(torch.float32)
    with pytest.raises(ValueError, match="scales is on cpu, but means is on cuda"):
        scene.with_tensors(means=scene.tensors["means"].to("cuda")).geometry(splats)


@pytest.mark.parametrize("count", [700, 2500, 9000])   # a cell is sorted at once, in two parts, in many
def test_a_cell_may_hold_any_number_of_gaussians(random_scene, count):
    scene = random_scene(56, count=count, size=(12, 20))
    faint = 0.004 + 0.2 / count * torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scene = scene.with_tensors(opacities=faint)   # light reaches the last ones, so their order shows
    ours, wanted = on_gpu(scene).geometry(splats), scene.geometry(splats)
    for name in MAPS:
        assert differing(getattr(ours, name), getattr(wanted, name), 1e-9) <= 2e-3, name


def test_sizes_can_be_read_by_the_caller(random_scene):
    scene = on_gpu(random_scene(57).to(torch.float32))
    tensors = [scene.tensors[name] for name in ("means", "scales", "quats", "opacities", "sh_dc", "sh_rest")]
    camera, options = (scene.viewmat, scene.K, scene.size), {"sh_degree": scene.options["sh_degree"]}
    wanted = splats.rasterize_geometry(*tensors, *camera, **options)
    torch.cuda.set_sync_debug_mode("error")
    try:
        placed = splats.place_geometry(*tensors, *camera, **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    placed.pairs = int(placed.count)
    assert placed.pairs > 0
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = splats.rasterize_geometry(*tensors, *camera, **options, placed=placed)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in zip(ours, wanted))
