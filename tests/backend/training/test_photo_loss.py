# SPDX-License-Identifier: Apache-2.0
"""What masks, backgrounds and exposure change in the photometric loss; each option against a run without it."""

import dataclasses

import pytest
import torch

from milo.backend.config import ConfigError, load_config
from milo.backend.gaussians.densify import depth_points
from milo.backend.rendering.splats import render_geometry
from milo.backend.training import checkpoint
from milo.backend.training.appearance import AppearanceNetwork, Exposure, cropped
from milo.backend.training.errors import TrainingError
from milo.backend.training.loop import Training
from milo.backend.training.photo_loss import PhotoLoss
from milo.backend.training.snapshots import held_out_psnr
from milo.cuda_ext.ssim import photometric_loss, ssim

STILL = {"densify.until_iter": 0, "densify.simplify1_iter": 0, "densify.simplify2_iter": 0, "model.sh_storage_start": 1,
         "schedule.iterations": 60, "schedule.half_resolution_until": 0, "schedule.depth_normal_from": 1,
         "optim": {"sh_dc_lr": 0.02, "opacity_lr": 0.2, "scale_lr": 0.04, "position_lr_init": 1e-3,
                   "exposure_lr": 0.03}}


def trained(scene, config, steps=60) -> Training:
    training = Training(scene, config)
    for _ in range(steps):
        training.step()
    return training


def loss_of(config, views):
    return PhotoLoss(config, views, torch.zeros(3), torch.Generator().manual_seed(0))


# -- masks and backgrounds -----------------------------------------------------------------------------------------


@pytest.fixture
def hidden_half(ball):
    """The ball with something in front of the left half of each photo, masked out; test views are whole."""
    def cover(view):
        mask = torch.full(view.image.shape[:2], 255, dtype=torch.uint8)
        mask[:, :12] = 0
        return dataclasses.replace(view, mask=mask, image=view.image * (mask > 0)[..., None])

    return dataclasses.replace(ball, train=[cover(view) for view in ball.train])


def test_ignored_pixels_pull_at_nothing(hidden_half):
    view = hidden_half.train[0]
    image = torch.rand(3, *view.camera.size, requires_grad=True)
    for masked, zero in (("ignore", True), ("background", False)):
        loss = loss_of(load_config([], {"loss.masked": masked}), hidden_half.train)
        (grad,) = torch.autograd.grad(loss(image, view, torch.zeros(3)), image)
        assert bool(grad[:, :, :12].any()) != zero and grad[:, :, 12:].any()


def test_ignored_pixels_are_seen_through(hidden_half, short_config):
    """What one photo hides, others show: the test views, which hide nothing, must be right."""
    ignored, taken = (held_out_psnr(trained(hidden_half, short_config(**STILL, **{"loss.masked": masked})))
                      for masked in ("ignore", "background"))
    assert ignored > taken + 3


def test_no_points_are_born_where_photos_are_ignored(hidden_half, short_config):
    training = Training(hidden_half, short_config())
    splats, views = training.gaussians.splats().detach(), hidden_half.train[:1]
    for masked_only in (False, True):
        points, _ = depth_points(splats, views, None, 10_000, 0.1, torch.zeros(3), training.generator, masked_only)
        camera = views[0].camera
        local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        columns = local[:, 0] / local[:, 2] * camera.K[0, 0] + camera.K[0, 2]
        assert bool((columns < 12 - 0.01).any()) != masked_only


def test_masks_cannot_be_ignored_and_carve():
    for setting in ("loss.mask_weight=0.1", "mesh.carve_masks=true"):
        with pytest.raises(ConfigError, match="masks say nothing"):
            load_config([], ["loss.masked=ignore", setting])


def test_the_white_background_is_trained_and_rendered(ball, short_config):
    """A masked photo on white asks for white where nothing is."""
    masked = dataclasses.replace(ball, train=[dataclasses.replace(
        view, mask=view.image.amax(2).gt(0).to(torch.uint8) * 255) for view in ball.train])
    training = Training(masked, short_config(**STILL, **{"data.white_background": True}))
    view = masked.train[0]
    white = training.photo_loss.background()
    assert training.photo_loss(view.target(white), view, white) < 1e-6 and (white == 1).all()
    assert float(training.step().loss) < float(Training(ball, training.config).step().loss)


def test_random_backgrounds_make_opaque_things_opaque(ball, short_config):
    """Before black, black Gaussians need no opacity; before any colour they do, and air must be air."""
    dark = dataclasses.replace(ball, train=[dataclasses.replace(
        view, image=torch.zeros_like(view.image), mask=view.image.amax(2).gt(0).to(torch.uint8) * 255)
        for view in ball.train])
    alphas = []
    for random in (False, True):
        training = trained(dark, short_config(**STILL, **{"loss.random_background": random}))
        drawn = [render_geometry(training.gaussians.splats().detach(), view.camera) for view in dark.train]
        alphas.append(sum(float(d.alpha[view.mask > 0].mean()) for d, view in zip(drawn, dark.train)) / len(drawn))
    assert alphas[1] > alphas[0] + 0.2
    assert len({tuple(training.photo_loss.background().tolist()) for _ in range(5)}) == 5


# -- exposure and appearance ---------------------------------------------------------------------------------------


@pytest.fixture
def flickering(ball):
    """Every second photo of the ball is half as bright; test views are as the mean of the photos."""
    def dimmed(view, factor):
        return dataclasses.replace(view, image=(view.image.float() * factor).round().to(torch.uint8))

    return dataclasses.replace(ball, train=[dimmed(view, 0.5 if view.uid % 2 else 1.0) for view in ball.train],
                               test=[dimmed(view, 0.5 ** 0.5) for view in ball.test])


def test_exposure_finds_the_gains(flickering, short_config):
    colours = STILL | {"model.sh_degree": 0, "model.sh_storage_start": 0}   # one colour a Gaussian, for all views
    training = trained(flickering, short_config(**colours | {"loss.appearance": "exposure"}))
    gain = training.photo_loss.photos.log_gain.detach()
    ratio = (gain[0::2].mean() - gain[1::2].mean()).exp()
    assert float(ratio) == pytest.approx(2, rel=0.15)
    plain = trained(flickering, short_config(**colours))
    assert held_out_psnr(training) > held_out_psnr(plain) + 0.5


def test_exposure_leaves_the_mean_alone():
    exposure = Exposure(3)
    with torch.no_grad():
        exposure.log_gain.fill_(0.7)
        exposure.offset.fill_(0.2)
    image = torch.rand(3, 4, 5)
    assert torch.allclose(exposure(image, 1), image)


def test_the_network_is_the_references():
    """Spec 2.8: 255,539 parameters, factors in (0, 1), one map per photo."""
    torch.manual_seed(0)
    network = AppearanceNetwork(4)
    assert sum(value.numel() for value in network.network.parameters()) == 255_539
    assert network.embedding.shape == (4, 64) and 0.5e-4 < network.embedding.std() < 2e-4
    with torch.no_grad():
        network.embedding *= 1e4
    image = torch.rand(3, 64, 96)
    factors = network(image, 0)
    assert factors.shape == image.shape and factors.min() > 0 and factors.max() < 1
    assert not torch.allclose(factors, network(image, 1))
    assert torch.equal(cropped(torch.arange(70.0 * 75).view(1, 70, 75)),
                       torch.arange(70.0 * 75).view(1, 70, 75)[:, 3:67, 5:69])


def test_the_network_stands_in_for_l1_alone(ball):
    """0.8 mean |M render - photo| over whole blocks + 0.2 (1 - SSIM of the bare render)."""
    view = dataclasses.replace(ball.train[2], image=torch.randint(0, 256, (40, 70, 3), dtype=torch.uint8),
                               camera=ball.train[2].camera.resized(70, 40))
    config = load_config(["appearance"], {"schedule.half_resolution_until": 0})
    loss = loss_of(config, [dataclasses.replace(view, uid=0)] * 3)
    image, target = torch.rand(3, 40, 70), view.target(torch.zeros(3))
    mapped = loss.photos(cropped(image), view.uid) * cropped(image)
    expected = 0.8 * (mapped - cropped(target)).abs().mean() + 0.2 * (1 - ssim(image, target))
    assert torch.allclose(loss(image, view, torch.zeros(3)), expected)
    bare = loss_of(load_config(), [view])
    assert torch.allclose(bare(image, view, torch.zeros(3)), photometric_loss(image, target, 0.2))


def test_the_network_needs_photos_of_a_block(ball):
    with pytest.raises(TrainingError, match=r"28 x 24 pixels.*32 at least.*exposure"):
        loss_of(load_config(["appearance"], {"schedule.half_resolution_until": 0}), ball.train)


def test_codes_and_network_have_rates_of_their_own(ball):
    rates = {"optim.appearance_embedding_lr": 0.5, "optim.appearance_network_lr": 0.25}
    config = load_config(["appearance"], rates | {"schedule.half_resolution_until": 0})
    loss = loss_of(config, large(ball).train)
    before = {name: value.detach().clone() for name, value in loss.photos.named_parameters()}
    for value in loss.photos.parameters():
        value.grad = torch.ones_like(value)
    loss.step()
    moved = {name: float((before[name] - value).abs().mean()) for name, value in loss.photos.named_parameters()}
    assert moved.pop("embedding") == pytest.approx(0.5, rel=1e-4)
    assert all(step == pytest.approx(0.25, rel=1e-4) for step in moved.values())


def large(scene):
    """The ball's photos twice as large in each direction and a little more."""
    def grown(view):
        image = view.image.permute(2, 0, 1)[None].float()
        image = torch.nn.functional.interpolate(image, (64, 72), mode="bilinear")[0].permute(1, 2, 0)
        return dataclasses.replace(view, camera=view.camera.resized(72, 64), image=image.round().to(torch.uint8))

    return dataclasses.replace(scene, train=[grown(view) for view in scene.train], test=[])


@pytest.mark.parametrize("appearance", ["exposure", "network"])
def test_resume_with_appearance_is_the_same_to_the_bit(flickering, short_config, tmp_path, appearance):
    """Its moments start anew with the Gaussians' at 16 and 24; what is learned and the moments are in checkpoints."""
    scene = large(flickering)
    config = short_config(**{"loss.appearance": appearance, "optim.dense": True, "loss.random_background": True})
    straight = Training(scene, config)
    before = {name: value.clone() for name, value in straight.photo_loss.photos.named_parameters()}
    losses = [float(straight.step().loss) for _ in range(26)]
    assert all(not torch.equal(before[name], value) for name, value in straight.photo_loss.photos.named_parameters())
    begun = Training(scene, config)
    for _ in range(18):
        begun.step()
    assert {int(state["step"]) for state in begun.photo_loss.optimizer.state_dict()["state"].values()} == {3}
    checkpoint.save_checkpoint(tmp_path, {"iteration": 18, "training": begun.state_dict()})
    resumed = Training(scene, config)
    resumed.load_state_dict(checkpoint.load_newest(tmp_path)["training"])
    assert [float(resumed.step().loss) for _ in range(8)] == losses[18:]


@pytest.mark.parametrize("dense", [False, True])
def test_dense_adam_moves_what_the_view_does_not_see(ball, short_config, dense):
    """2.6: with dense steps momentum goes on moving what left the frustum; else it stands still."""
    behind = torch.tensor([[0.0, 0.0, 50.0]])
    training = Training(ball, short_config(**STILL, **{"optim.dense": dense}))
    gaussians = training.gaussians
    with torch.no_grad():
        gaussians.means[0] = behind
    training.population.optimizer.first["means"][0] = 1
    training.step()
    assert torch.equal(gaussians.means[:1].detach(), behind) != dense
