# SPDX-License-Identifier: Apache-2.0
"""The learned method (spec extraction 1.1, acceptance 4), and the choice of Gaussians (Q-2)."""

import pytest
import torch

from milo.backend.config import with_overrides
from milo.backend.extraction import refine
from milo.backend.extraction.choice import chosen_gaussians
from milo.backend.extraction.methods import mesh_of, steps_ahead
from milo.backend.extraction.steps import ColoredMesh, ExtractStep
from milo.backend.mesh.loop import view_terms
from milo.backend.mesh.pivots import gaussian_pivots
from milo.backend.mesh.surface import Surface, compact, extract_surface, triangulate
from milo.backend.rendering.splats import render_geometry
from milo.cuda_ext.pivots import field


def some_logits(ball) -> torch.Tensor:
    """Occupied where a pivot is inside the ball, with noise."""
    pivots = gaussian_pivots(ball.splats.means, ball.splats.scales, ball.splats.quats)
    distance = (pivots.points.norm(dim=1) - 0.5) / 0.05
    noise = torch.randn(len(distance), generator=torch.Generator().manual_seed(0))
    flat = -distance + 0.6 * noise
    n = len(ball.splats.means)
    return torch.cat([flat[: 8 * n].view(n, 8), flat[8 * n:, None]], dim=1)


def mesh(ball, logits, *settings) -> ColoredMesh:
    config = with_overrides(ball.config, settings)
    generator = torch.Generator().manual_seed(0)
    return list(mesh_of(ball.splats, logits, ball.views, config, ball.scale, generator))[-1]


def test_without_refinement_it_is_marching_tetrahedra_of_what_is_stored(ball):
    logits = some_logits(ball)
    logits[::7] = 0                                       # these never carried pivots
    ours = mesh(ball, logits, "extract.init=learned", "extract.refine_iters=0", "extract.air_opacity=0")
    rows = (logits != 0).any(dim=1).nonzero().squeeze(1)
    pivots = gaussian_pivots(ball.splats.means[rows], ball.splats.scales[rows], ball.splats.quats[rows],
                             len(rows) / len(logits))
    sdf, _, _ = field(logits[rows], torch.zeros_like(logits[rows]))
    surface = extract_surface(pivots, sdf, triangulate(pivots.points))
    verts, faces = compact(surface.verts, surface.faces)
    assert torch.equal(ours.verts, verts) and torch.equal(ours.faces, faces) and len(faces) > 1000


def test_refinement_does_not_raise_the_losses_of_held_out_views(ball):
    logits = some_logits(ball)

    def held_out_loss(result: ColoredMesh) -> float:
        surface, total = Surface(result.verts, result.faces), 0.0
        for view in ball.held_out:
            drawn = render_geometry(ball.splats, view.camera, near=ball.scale.splat_near)
            terms = view_terms(ball.config.mesh, surface, view, drawn.expected_depth, drawn.median_depth, ball.scale)
            total += float(sum(terms.values()))
        return total

    settings = "extract.init=learned", "extract.rasterizer=model"
    before = held_out_loss(mesh(ball, logits, *settings, "extract.refine_iters=0"))
    after = held_out_loss(mesh(ball, logits, *settings, "extract.refine_iters=200"))
    assert after < 0.9 * before


def test_the_learning_rate_falls_to_its_last_value(ball, monkeypatch):
    rates = []
    monkeypatch.setattr(refine, "sparse_adam_step", lambda *arguments: rates.append(arguments[-2]))
    mesh(ball, some_logits(ball), "extract.refine_iters=4", "extract.refine_lr=0.08", "extract.refine_lr_final=0.04")
    assert rates == pytest.approx([0.08, 0.07, 0.06, 0.05])


def test_it_can_be_stopped_between_steps(ball):
    config = with_overrides(ball.config, ["extract.method=depth_fusion"])
    steps = mesh_of(ball.splats, some_logits(ball), ball.views, config, ball.scale, torch.Generator())
    assert isinstance(next(steps), ExtractStep)
    steps.close()
    assert list(steps) == []


def test_the_limit_of_pivots_holds_for_learned_sets_too(ball):
    logits = some_logits(ball)
    logits[:100] = 0
    config = with_overrides(ball.config, {"extract.max_points": 9 * 150, "densify.importance": "indoor"})
    rows = chosen_gaussians(ball.splats, logits, ball.views, config, ball.scale, torch.Generator().manual_seed(0))
    assert 100 <= len(rows) <= 150 and int(rows.min()) >= 100 and (rows.diff() > 0).all()
    config = with_overrides(ball.config, {"extract.max_points": 9 * 1000})
    assert len(chosen_gaussians(ball.splats, logits, ball.views, config, ball.scale, torch.Generator())) == 500


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("settings", [
    [], ["extract.init=learned"], ["extract.init=learned", "extract.air_opacity=0"], ["extract.binary_steps=0"],
    ["extract.method=depth_fusion"], ["extract.method=tsdf"]])
def test_how_many_steps_there_will_be(ball, settings, learned):
    logits = some_logits(ball) if learned else torch.zeros(len(ball.splats.means), 9)
    config = with_overrides(ball.config, ["extract.binary_steps=1", "extract.refine_iters=2", "tsdf.resolution=20",
                                          *settings])
    steps = [step.stage == "refine" for step in mesh_of(
        ball.splats, logits, ball.views, config, ball.scale, torch.Generator().manual_seed(0))
        if isinstance(step, ExtractStep)]
    expected = (steps.count(False), steps.count(True)) if config.extract.method != "tsdf" else (0, 0)
    assert steps_ahead(config, len(ball.views), learned) == expected


@pytest.mark.parametrize("settings", [
    ["extract.method=depth_fusion"], ["extract.method=depth_fusion", "extract.rasterizer=gof"],
    ["extract.method=integration"], ["extract.method=integration", "extract.rasterizer=gof"],
    ["extract.init=depth_fusion"], ["extract.init=integration"],
    ["extract.init=depth_fusion", "extract.binary_steps=0"]])
def test_every_field_finds_the_ball(ball, settings):
    result = mesh(ball, torch.zeros(600, 9), "extract.refine_iters=0", "extract.binary_steps=4", *settings)
    distance = result.verts.norm(dim=1)
    assert len(result.faces) > 1000 and abs(float(distance.median()) - 0.5) < 0.06
    assert float(((distance - 0.5).abs() < 0.12).float().mean()) > 0.9
