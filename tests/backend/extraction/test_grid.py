# SPDX-License-Identifier: Apache-2.0
"""Fusion in a grid (spec extraction 1.3, 1.4, acceptance 7)."""

import dataclasses
import math

import pytest
import torch

from milo.backend.config import DtuConfig, TsdfConfig, with_overrides
from milo.backend.extraction import grid as module
from milo.backend.extraction.clusters import largest_clusters
from milo.backend.extraction.grid import Grid, grid_of, touched_blocks
from milo.backend.extraction.methods import mesh_of
from milo.backend.extraction.steps import ExtractStep

LOGITS = torch.zeros(600, 9)


def mesh(ball, *settings):
    config = with_overrides(ball.config, ["extract.method=tsdf", "tsdf.resolution=70", *settings])
    *steps, result = mesh_of(ball.splats, LOGITS, ball.views, config, ball.scale, torch.Generator())
    assert all(isinstance(step, ExtractStep) for step in steps)
    return result


def test_lengths(ball):
    grid = grid_of(ball.views, TsdfConfig())
    assert grid.depth_max == pytest.approx(4, rel=1e-3)             # twice the distance of the cameras from the ball
    assert grid.voxel == pytest.approx(grid.depth_max / 1024) and grid.truncation == pytest.approx(5 * grid.voxel)
    assert grid.origin.abs().max() < 1e-3
    grid = grid_of(ball.views, DtuConfig())
    assert (grid.depth_max, grid.voxel, grid.truncation) == (8.0, 0.002, pytest.approx(0.016))


def test_a_ball_is_closed_and_where_it_was(ball):
    result = mesh(ball, "tsdf.resolution=100", "tsdf.clusters=1", "extract.rasterizer=model")
    edges = torch.cat([result.faces[:, [0, 1]], result.faces[:, [1, 2]], result.faces[:, [2, 0]]]).sort(dim=1).values
    counts = edges.unique(dim=0, return_counts=True)[1]
    assert (counts == 2).float().mean() > 0.995
    distance = result.verts.norm(dim=1)
    assert abs(float(distance.median()) - 0.5) < 0.03 and float((distance - 0.5).abs().quantile(0.95)) < 0.12
    corners = result.verts[result.faces.long()]
    volume = float((corners[:, 0] * torch.linalg.cross(corners[:, 1], corners[:, 2])).sum() / 6)
    assert volume == pytest.approx(4 / 3 * math.pi * 0.525**3, rel=0.05)     # positive: faces look outwards
    assert ((result.colors.int() - 128).abs().max(dim=1).values <= 1).float().mean() > 0.9


def test_colours_are_those_of_the_photos(ball):
    """Not of the splats, which are grey."""
    red = torch.tensor([200, 50, 10], dtype=torch.uint8).expand(40, 48, 3)
    photos = ball._replace(views=[dataclasses.replace(view, image=red) for view in ball.views])
    colors = mesh(photos).colors.int()
    assert ((colors - red[0, 0].int()).abs().max(dim=1).values <= 1).float().mean() > 0.9


def test_groups_of_blocks_leave_no_seams(ball, monkeypatch):
    whole = mesh(ball)
    monkeypatch.setattr(module, "GROUP_SAMPLES", 3 * 17**3)
    parts = mesh(ball)
    assert torch.equal(whole.verts, parts.verts) and len(whole.faces) == len(parts.faces)


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_dtu_by_either_rasteriser(ball, rasterizer):
    """The reference's tool for DTU fails with GOF (Q-11)."""
    result = mesh(ball, "extract.method=dtu", f"extract.rasterizer={rasterizer}", "dtu.voxel=0.03", "dtu.depth_max=4",
                  "dtu.pixel_shift=0")
    distance = result.verts.norm(dim=1)
    assert len(result.faces) > 1000 and abs(float(distance.median()) - 0.5) < 0.05


def test_the_published_half_pixel_of_dtu(ball):
    """Q-12: as in the published table, or pixels where the photos have them; the photos' cameras stay as they are."""
    before = ball.views[0].camera.K.clone()
    shifts = [float((module._camera(ball.views[0], settings)[1] - before)[:2, 2].mean())
              for settings in (DtuConfig(), DtuConfig(pixel_shift=0.0), TsdfConfig())]
    assert shifts == [0.5, 0, 0] and torch.equal(ball.views[0].camera.K, before)
    there, moved = (mesh(ball, "extract.method=dtu", "dtu.voxel=0.03", "dtu.depth_max=4", f"dtu.pixel_shift={shift}")
                    for shift in (0, 2))
    assert len(moved.verts) != len(there.verts) or not torch.allclose(moved.verts, there.verts, atol=1e-3)


def test_few_clusters_do_not_fail(ball):
    """A ball and its crumbs are a few clusters; the reference fails below fifty (Q-10)."""
    assert len(mesh(ball, "tsdf.clusters=50").faces) >= len(mesh(ball, "tsdf.clusters=1").faces) > 1000
    assert len(mesh(ball, "tsdf.min_cluster=1000000").faces) > 1000      # the largest always stays


def test_alpha_and_weight_thresholds(ball):
    assert len(mesh(ball, "tsdf.min_weight=13").faces) == 0              # there are twelve views
    assert len(mesh(ball, "tsdf.min_alpha=0.9").faces) > 500
    assert len(mesh(ball, "tsdf.depth_max=1.0").faces) == 0              # the ball begins at 1.5


def test_clusters():
    strip = [[i, i + 1, i + 2] for i in range(10)]                       # 10 faces
    small = [[20 + i, 21 + i, 22 + i] for i in range(4)]                 # 4
    crumb = [[30, 31, 32]]
    faces = torch.tensor(strip + small + crumb, dtype=torch.int32)
    assert largest_clusters(faces, 33, 2, 1).tolist() == [True] * 14 + [False]
    assert largest_clusters(faces, 33, 50, 1).all()
    assert largest_clusters(faces, 33, 50, 5).tolist() == [True] * 10 + [False] * 5
    assert largest_clusters(faces, 33, 50, 100).tolist() == [True] * 10 + [False] * 5


def test_blocks_around_a_point():
    """A pixel touches the blocks that the cube of the truncation around its point meets."""
    K = torch.tensor([[10.0, 0, 0.5], [0, 10, 0.5], [0, 0, 1]])
    grid = Grid(torch.zeros(3, dtype=torch.float64), 0.1, 0.5, 100.0, 16)
    depth = torch.tensor([[8.0]])                                        # the point (0, 0, 8): on a corner of blocks
    keys = touched_blocks(depth, (torch.eye(4), K), grid)
    assert sorted(module._blocks_of(keys).tolist()) == [[x, y, z] for x in (-1, 0) for y in (-1, 0) for z in (4, 5)]
    moved = torch.eye(4)
    moved[:3, 3] = torch.tensor([-0.8, -0.8, -0.8])                      # the point (0.8, 0.8, 8.8): in the middle
    assert module._blocks_of(touched_blocks(depth, (moved, K), grid)).tolist() == [[0, 0, 5]]
    assert math.isclose(grid.side, 1.6)
