# SPDX-License-Identifier: Apache-2.0
"""What must hold of any correct rasteriser, whatever its numbers (spec rasterization.md, 8.2)."""

import pytest
import torch

from milo.cuda_ext import splats

MAPS = ("image", "alpha", "expected_depth", "median_depth", "normal")
GEOMETRY = pytest.mark.parametrize("geometry", ["geometry", "gof"])   # the rasterisers with all these maps
DC = 0.28209479177387814


def with_background(scene, value):
    return scene.with_options(background=torch.full((3,), float(value), dtype=scene.viewmat.dtype))


@GEOMETRY
def test_weights_and_transmittance_make_one(random_scene, renderer, geometry):
    """T6, T7, T8: image over white minus image over black is the transmittance, and alpha the rest."""
    for seed in range(3):
        scene = random_scene(seed)
        black, white = (getattr(with_background(scene, value), geometry)(renderer) for value in (0, 1))
        for channel in white.image - black.image:
            torch.testing.assert_close(channel + black.alpha, torch.ones_like(black.alpha), rtol=0, atol=1e-12)
        for name in MAPS[1:]:
            assert torch.equal(getattr(white, name), getattr(black, name))

        black, white = (with_background(scene, value).train(renderer) for value in (0, 1))
        transmittance = (white.image - black.image)[0]
        total = scene.stats(renderer).accum_weights.sum().item()
        assert total == pytest.approx((1 - transmittance).sum().item(), rel=1e-9)
        no_background = type(scene)(scene.tensors, scene.viewmat, scene.K, scene.size, {"sh_degree": 3})
        assert torch.equal(no_background.train(renderer).image, black.image)


@GEOMETRY
def test_white_gaussians_over_black_show_alpha(random_scene, renderer, geometry):
    """T9, with the gradient of the colours: sum over pixels of weight times gradient."""
    scene = with_background(random_scene(4, sh_degree=0), 0)
    scene = scene.with_tensors(sh_dc=torch.full_like(scene.tensors["sh_dc"], 0.5 / DC))
    leaves = scene.leaves()
    rendered = getattr(leaves, geometry)(renderer)
    torch.testing.assert_close(rendered.image, rendered.alpha.expand(3, -1, -1), rtol=0, atol=1e-12)
    weights = torch.rand(rendered.image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (rendered.image * weights).sum().backward()
    wanted = (weights * rendered.alpha.detach()).sum((1, 2))
    torch.testing.assert_close(leaves.tensors["sh_dc"].grad.sum(0) / DC, wanted)


@GEOMETRY
def test_order_of_the_gaussians_does_not_matter(random_scene, kernels, gradients, geometry):
    """T6: to the bit for the images."""
    scene = random_scene(5).to(torch.float32)
    shuffle = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    ours, shuffled = (getattr(s, geometry)(kernels) for s in (scene, scene.rows(shuffle)))
    for name in MAPS:
        assert torch.equal(getattr(ours, name), getattr(shuffled, name)), name
    assert torch.equal(ours.radii[shuffle], shuffled.radii)
    plain, mixed = (gradients(s, geometry, kernels, ["image"])["image"] for s in (scene, scene.rows(shuffle)))
    for name in plain:
        torch.testing.assert_close(plain[name][shuffle], mixed[name], rtol=1e-4, atol=1e-6 * plain[name].abs().max())


def test_equal_depths_are_drawn_by_index(scene, intrinsics, renderer):
    twins = scene([[0, 0, 2.0]] * 2, [0.3] * 2, [0.6, 0.6], intrinsics(30, 30, 8.5, 8.5), (17, 17),
                  colours=[[1.0, 0, 0], [0, 1, 0]])  # fmt: skip
    for dtype in (torch.float32, torch.float64):
        image = twins.to(dtype).train(renderer).image[:, 8, 8]
        assert image[:2].tolist() == pytest.approx([0.6, 0.24], abs=1e-6)


@pytest.mark.parametrize("rasterise", ["geometry", "gof", "train", "stats", "depth"])
def test_moving_scene_and_camera_together_changes_nothing(random_scene, renderer, rasterise):
    """T10. Colours of degree 0: higher ones are fixed to the world."""
    scene = random_scene(6, sh_degree=0)
    generator = torch.Generator().manual_seed(9)
    half = torch.nn.functional.normalize(torch.randn(4, generator=generator, dtype=torch.float64), dim=0)
    w, x, y, z = half.tolist()
    rotation = torch.tensor([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ], dtype=torch.float64)  # fmt: skip
    shift = torch.tensor([5.0, -3.0, 2.0], dtype=torch.float64)
    a, b, c, d = scene.tensors["quats"].unbind(1)
    quats = torch.stack([w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c,
                         w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a], 1)  # fmt: skip
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3], motion[:3, 3] = rotation, shift
    moved = type(scene)(scene.tensors | {"means": scene.tensors["means"] @ rotation.T + shift, "quats": quats},
                        scene.viewmat @ torch.linalg.inv(motion), scene.K, scene.size, scene.options)  # fmt: skip
    before, after = getattr(scene, rasterise)(renderer), getattr(moved, rasterise)(renderer)
    for name, one, other in zip(before._fields, before, after):
        if name == "points":                       # world points move with the world
            one = torch.where(before.index >= 0, torch.einsum("ij,jhw->ihw", rotation, one) + shift[:, None, None], one)
        if one.is_floating_point():
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)
        else:
            assert torch.equal(one, other), name


def test_principal_point_off_the_centre_shows_a_crop(random_scene, renderer):
    """A crop by whole tiles of a centred image is the image of a camera whose principal point is off the centre."""
    wide = random_scene(7, size=(64, 96), tame=True)
    K = wide.K.clone()
    K[0, 2], K[1, 2] = 48.0, 32.0
    top, left, size = 16, 32, (40, 44)
    inner = wide.tensors["means"] @ wide.viewmat[:3, :3].T + wide.viewmat[:3, 3]
    u, v = (K[a, a] * inner[:, a] / inner[:, 2] + K[a, 2] - offset for a, offset in ((0, left), (1, top)))
    keep = (u > 0) & (u < size[1]) & (v > 0) & (v < size[0])       # the lateral clamp might hold others
    assert keep.sum() > 8
    wide = type(wide)(wide.tensors, wide.viewmat, K, wide.size, wide.options).rows(keep)
    shifted = K.clone()
    shifted[0, 2], shifted[1, 2] = 48.0 - left, 32.0 - top
    crop = type(wide)(wide.tensors, wide.viewmat, shifted, size, wide.options)
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    maps = {"geometry": MAPS, "gof": MAPS, "train": ("image",), "depth": ("index", "points", "depth")}
    for rasterise, names in maps.items():
        whole, part = getattr(wide, rasterise)(renderer), getattr(crop, rasterise)(renderer)
        for name in names:
            cut = getattr(whole, name)[..., rows, columns]
            torch.testing.assert_close(cut, getattr(part, name), rtol=1e-9, atol=1e-11)


def test_no_tile_is_lost(random_scene, kernels, oracle):
    """T11, T12: thin, faint, tilted Gaussians against the oracle, which tests no tiles."""
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        scene = random_scene(100 + seed, count=40, size=(80, 96), tame=True)
        scales = torch.stack([torch.full((40,), 0.8), torch.full((40,), 0.02), torch.full((40,), 0.004)], 1).double()
        opacities = 1 / 255 + 0.1 * torch.rand(40, generator=generator, dtype=torch.float64) ** 3
        scene = scene.with_tensors(scales=scales, opacities=opacities)
        ours, wanted = scene.stats(kernels), scene.stats(oracle)
        assert torch.equal(ours.area_proj, wanted.area_proj)
        assert wanted.area_proj.max() > 100
        for rasterise in ("geometry", "gof"):
            ours, wanted = getattr(scene, rasterise)(kernels), getattr(scene, rasterise)(oracle)
            torch.testing.assert_close(ours.alpha, wanted.alpha, rtol=0, atol=1e-12)


def test_statistics_add_up(random_scene, renderer):
    """T13."""
    for seed in range(3):
        scene = with_background(random_scene(seed), 0)
        stats, depth, train = scene.stats(renderer), scene.depth(renderer), scene.train(renderer)
        alpha = 1 - (with_background(scene, 1).train(renderer).image - train.image)[0]
        assert stats.area_max.sum() == (alpha > 1e-9).sum()
        assert stats.accum_weights.sum().item() == pytest.approx(alpha.sum().item(), rel=1e-9)
        assert (stats.area_proj >= stats.area_max).all()
        assert torch.equal(stats.area_max, train.area_max) and torch.equal(stats.radii, train.radii)
        # What a pixel shows lies on its ray, at the depth reported.
        rows, columns = torch.nonzero(depth.index >= 0, as_tuple=True)
        view = depth.points[:, rows, columns].T @ scene.viewmat[:3, :3].T + scene.viewmat[:3, 3]
        torch.testing.assert_close(view[:, 2], depth.depth[rows, columns])
        pixel = scene.K[[0, 1], [0, 1]] * view[:, :2] / view[:, 2:] + scene.K[:2, 2] - 0.5
        torch.testing.assert_close(pixel, torch.stack([columns, rows], 1).double(), rtol=0, atol=1e-8)


def test_same_bits_whatever_the_number_of_threads(random_scene, kernels, gradients, threads):
    scene = random_scene(8, count=400, size=(70, 90)).to(torch.float32)
    runs = []
    for count in (1, 2, 3):
        threads(count)
        renders = [getattr(scene, name)(kernels) for name in ("geometry", "gof", "train", "stats", "depth")]
        backward = [gradients(scene, name, kernels, MAPS) for name in ("geometry", "gof")]
        runs.append((renders, [*backward, gradients(scene, "train", kernels, ["image"])]))
    for other in runs[1:]:
        for one, two in zip(runs[0][0], other[0]):
            assert all(torch.equal(a, b) for a, b in zip(one, two))
        for one, two in zip(runs[0][1], other[1]):
            assert all(torch.equal(one[out][name], two[out][name]) for out in one for name in one[out])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_to_draw(random_scene, renderer, dtype):
    """T22: no Gaussian, all behind the camera, all off screen, all culled, all too faint: the background."""
    scene = random_scene(9, tame=True).to(dtype)
    forward, centre = scene.viewmat[2, :3], -scene.viewmat[:3, :3].T @ scene.viewmat[:3, 3]
    sideways = scene.viewmat[0, :3]
    cases = {
        "none": scene.rows(slice(0, 0)),
        "behind": scene.with_tensors(means=2 * centre - scene.tensors["means"]),
        "off screen": scene.with_tensors(means=centre + 3 * forward + 500 * sideways + 0 * scene.tensors["means"]),
        "culled": scene.with_options(cull=torch.ones(60, dtype=torch.bool)),
        "faint": scene.with_tensors(opacities=torch.full_like(scene.tensors["opacities"], 0.002)),
    }
    for case, empty in cases.items():
        count = len(empty.tensors["means"])
        background = empty.options["background"][:, None, None].expand(3, *empty.size)
        leaves = empty.leaves()
        train = leaves.train(renderer)
        assert torch.equal(train.image, background), case
        assert train.radii.shape == (count,) and not train.area_max.any()
        assert bool(train.radii.any()) == (case == "faint")              # counted as visible [Q10]
        if count:
            train.image.sum().backward()
            assert all(not leaf.grad.any() for leaf in leaves.tensors.values() if leaf.grad is not None), case
        stats, depth = empty.stats(renderer), empty.depth(renderer)
        assert not stats.accum_weights.any() and not stats.area_proj.any()
        assert (depth.index == -1).all() and (depth.transmittance == 1).all() and not depth.points.any()
        if case != "culled":
            for rasterise in ("geometry", "gof"):
                leaves = empty.leaves()
                rendered = getattr(leaves, rasterise)(renderer)
                assert torch.equal(rendered.image, background), case
                assert not any(getattr(rendered, name).any() for name in MAPS[1:])
                if count:
                    sum(getattr(rendered, name).sum() for name in MAPS).backward()
                    assert all(not leaf.grad.any() for leaf in leaves.tensors.values() if leaf.grad is not None), case


@pytest.mark.parametrize("rasterise", ["geometry", "gof", "train"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("means", torch.nan), ("means", torch.inf), ("means", 1e30), ("scales", 1e18), ("scales", 1e-30), ("scales", 0.0),
     ("opacities", 0.0), ("quats", 0.0)],
)  # fmt: skip
def test_one_broken_gaussian_stays_alone(random_scene, kernels, rasterise, name, value):
    """Training may throw a Gaussian to infinity: no crash, and nobody else's gradient is spoiled."""
    scene = random_scene(12, tame=True).to(torch.float32)
    broken = scene.tensors[name].clone()
    broken[7] = value
    leaves = scene.with_tensors(**{name: broken}).leaves()
    rendered = getattr(leaves, rasterise)(kernels)
    others = torch.arange(60) != 7
    if name == "means":
        assert rendered.radii[7] == 0
        without = getattr(scene.rows(others), rasterise)(kernels)
        assert torch.equal(rendered.image, without.image)
    if name != "scales" or value < 1 or rasterise == "gof":
        assert torch.isfinite(rendered.image).all()
        maps = MAPS if rasterise == "gof" else ("image",)
        sum(getattr(rendered, name).square().sum() for name in maps).backward()
        for leaf in leaves.tensors.values():
            assert torch.isfinite(leaf.grad[others]).all()


def test_placing_first_changes_nothing(random_scene):
    scene = random_scene(33)
    tensors = [scene.tensors[name] for name in ("means", "scales", "quats", "opacities", "sh_dc", "sh_rest")]
    camera = scene.viewmat, scene.K, scene.size
    placed = splats.place_geometry(*tensors, *camera, sh_degree=3, near=0.3)
    ours = splats.rasterize_geometry(*tensors, *camera, sh_degree=3, near=0.3, placed=placed)
    wanted = splats.rasterize_geometry(*tensors, *camera, sh_degree=3, near=0.3)
    assert placed.count is None and all(torch.equal(a, b) for a, b in zip(ours, wanted))
    with pytest.raises(ValueError, match="placed was made of other Gaussians, another camera or other options"):
        splats.rasterize_geometry(*tensors, *camera, sh_degree=3, near=0.2, placed=placed)
    with pytest.raises(ValueError, match="placed was made of other"):
        splats.rasterize_geometry(tensors[0].clone(), *tensors[1:], *camera, sh_degree=3, near=0.3, placed=placed)


def test_errors_name_the_argument(random_scene, kernels):
    scene = random_scene(10).to(torch.float32)
    with pytest.raises(ValueError, match="scales"):
        scene.with_tensors(scales=scene.tensors["scales"][:5]).geometry(kernels)
    with pytest.raises(ValueError, match="opacities"):
        scene.with_tensors(opacities=scene.tensors["opacities"].double()).train(kernels)
    with pytest.raises(ValueError, match="sh_degree"):
        scene.with_tensors(sh_rest=scene.tensors["sh_rest"][:, :3]).geometry(kernels)
