# SPDX-License-Identifier: Apache-2.0
"""The contract of milo.functional (spec extraction, section 2)."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from milo import functional as milo

QUAT = torch.tensor([[1.0, 0, 0, 0]])


def ball(count=300, seed=0):
    """means on the unit sphere, scales, rotations, opacities."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    rotations = torch.randn(count, 4, generator=generator)
    return means, 0.04 + 0.04 * torch.rand(count, 3, generator=generator), rotations, torch.full((count, 1), 0.9)


def ring(count=6, image=None):
    """Cameras around the origin, 3 away, 40 x 32 pixels, off-centre principal point."""
    views = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        forward = -torch.tensor([math.cos(angle), math.sin(angle), 0.0])
        right = torch.tensor([-math.sin(angle), math.cos(angle), 0.0])
        viewmat = torch.eye(4)
        viewmat[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
        viewmat[2, 3] = 3
        views.append(milo.Camera(viewmat, torch.tensor([[40.0, 0, 22], [0, 40, 15], [0, 0, 1]]), 40, 32, image))
    return views


def sphere_sdf(pivots):
    return (pivots.norm(dim=1) - 1).clamp(-1, 1)


def test_pivots_of_one_gaussian():
    points, radii = milo.extract_gaussian_pivots(torch.zeros(1, 3), torch.tensor([[1.0, 2, 3]]), QUAT)
    assert points[0].tolist() == [-3, -6, -9] and points[1].tolist() == [-3, -6, 9] and points[8].tolist() == [0, 0, 0]
    assert radii.shape == (9, 1) and (radii == 9).all()


def test_pivots_grow_with_what_is_left_out():
    means, scales, rotations, _ = ball(64)
    idx = torch.arange(0, 64, 8)
    _, radii = milo.extract_gaussian_pivots(means, scales, rotations, idx)
    _, plain = milo.extract_gaussian_pivots(means, scales, rotations, idx, False)
    _, tripled = milo.extract_gaussian_pivots(means, scales, rotations, idx, False, 3.0)
    assert torch.allclose(radii, 2 * plain) and torch.allclose(tripled, 3 * plain)


def test_from_gaussians_to_a_mesh_and_back():
    means, scales, rotations, _ = (value.requires_grad_() for value in ball())
    tets = milo.compute_delaunay_triangulation(means, scales, rotations)
    assert tets.dtype == torch.int64
    assert torch.equal(tets, milo.compute_delaunay_triangulation(means, scales, rotations))
    points, _ = milo.extract_gaussian_pivots(means, scales, rotations)
    corners = points.detach().double()[tets]
    assert (torch.linalg.det(corners[:, 1:] - corners[:, :1]) > -1e-12).all()
    sdf = sphere_sdf(points.detach()).requires_grad_()
    mesh = milo.extract_mesh(tets, sdf, means, scales, rotations)
    assert mesh.faces.dtype == torch.int32 and len(mesh.faces) > 500
    mesh.verts.square().sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in (sdf, means, scales, rotations))
    with_edges = milo.extract_mesh(milo.tet_topology(tets.int(), len(points)), sdf, means, scales, rotations)
    assert torch.equal(mesh.verts, with_edges.verts)


def test_filter_and_collapse_of_long_edges():
    means, scales, rotations, _ = ball(40)
    points, radii = milo.extract_gaussian_pivots(means, 0.3 * scales, rotations)
    tets = milo.compute_delaunay_triangulation(override_pivots=points)
    sdf = sphere_sdf(points)
    whole = milo.extract_mesh(tets, sdf, override_pivots=points, filter_large_edges=False)
    kept = milo.extract_mesh(tets, sdf, override_pivots=points, override_pivots_scale=radii)
    assert torch.equal(whole.verts, kept.verts) and 0 < len(kept.faces) < len(whole.faces)
    moved = milo.extract_mesh(tets, sdf, override_pivots=points, override_pivots_scale=radii, filter_large_edges=False,
                              collapse_large_edges=True)
    changed = (moved.verts != whole.verts).any(dim=1)
    distance = torch.cdist(moved.verts[changed].double(), points[sdf <= 0].double()).min(dim=1).values
    assert changed.any() and distance.max() < 1e-6
    with pytest.raises(ValueError, match="override_pivots_scale"):
        milo.extract_mesh(tets, sdf, override_pivots=points)


def test_an_empty_mesh_is_a_mesh():
    means, scales, rotations, _ = ball(30)
    points, radii = milo.extract_gaussian_pivots(means, scales, rotations)
    tets = milo.compute_delaunay_triangulation(override_pivots=points)
    outside = torch.ones(len(points), requires_grad=True)
    mesh = milo.extract_mesh(tets, outside, override_pivots=points, override_pivots_scale=radii)
    assert mesh.verts.shape == (0, 3) and mesh.faces.shape == (0, 3)
    drawn = milo.render_mesh(milo.frustum_cull_mesh(mesh, ring()[0]), ring()[0])
    assert drawn.depth.shape == (32, 40) and not drawn.depth.any()


def test_culling_keeps_what_crosses_the_frustum():
    """A triangle that covers the view with all vertices outside stays; the reference would drop it (Q-4)."""
    camera = ring()[0]
    local = torch.tensor([[-90.0, -90, 3], [90, -90, 3], [0, 90, 3],        # covers everything
                          [-0.1, 0, 2], [0.1, 0, 2], [0, 0.1, 2],           # inside
                          [50, 0, 3], [51, 0, 3], [50, 1, 3],               # beside
                          [0, 0, -3], [0.1, 0, -3], [0, 0.1, -3]])          # behind
    verts = ((local - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]).requires_grad_()
    mesh = milo.Mesh(verts, torch.arange(12, dtype=torch.int32).view(4, 3))
    culled = milo.frustum_cull_mesh(mesh, camera)
    assert culled.faces[:, 0].tolist() == [0, 3] and culled.verts is verts
    milo.render_mesh(culled, camera).depth.sum().backward()
    assert verts.grad[:6].abs().sum() > 0 and not verts.grad[6:].any()


def test_initial_sdf_and_labels_and_colours():
    views = ring(image=torch.full((3, 32, 40), 0.25))
    means, scales, rotations, opacities = ball(500)

    def render(view):       # the unit ball, by ray casting
        rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(40) + 0.5, indexing="ij")
        rays = torch.stack([(columns - 22) / 40, (rows - 15) / 40, torch.ones(32, 40)])
        a, b, c = rays.square().sum(0), -6 * rays[2], 8.0
        under = b * b - 4 * a * c
        return {"depth": torch.where(under > 0, (-b - under.clamp(min=0).sqrt()) / (2 * a), 0.0)[None]}

    sdf = milo.compute_initial_sdf_values(views, render, means, scales, rotations, truncation=0.3)
    points, _ = milo.extract_gaussian_pivots(means, scales, rotations)
    off = (points.norm(dim=1) - 1).abs() > 0.1
    near_equator = points[:, 2].abs() < 0.4
    right = (sdf > 0) == (points.norm(dim=1) > 1)
    assert sdf.abs().max() <= 1 and right[off & near_equator].float().mean() > 0.97
    tight = (means, 2.5 * scales, rotations)      # without holes; pivots as before
    integrated = milo.compute_initial_sdf_values(views, None, *tight, "integration", override_pivots=points,
                                                 opacities=opacities, rasterizer="gof")
    assert (integrated[points.norm(dim=1) < 1] < 0).float().mean() > 0.99
    tets = milo.compute_delaunay_triangulation(means, scales, rotations)
    mesh = milo.extract_mesh(tets, sphere_sdf(points), means, scales, rotations, filter_large_edges=False)
    labels = milo.compute_occupancy_labels(views, points, mesh)
    assert ((labels == 0) == (points.norm(dim=1) > 1))[off & near_equator].float().mean() > 0.95
    colors = milo.compute_vertex_colors(views, mesh)
    assert torch.allclose(colors[colors.sum(1) > 0], torch.tensor(0.25)) and (colors.sum(1) > 0).float().mean() > 0.7
    with pytest.raises(ValueError, match="opacities are needed"):
        milo.compute_initial_sdf_values(views, None, means, scales, rotations, "integration")


@pytest.mark.parametrize("scene_type", ["indoor", "outdoor"])
def test_sampling(scene_type):
    views = ring()
    means, scales, rotations, opacities = ball(400)
    means = torch.cat([means, 0.3 * means[:100]])                           # the last 100 are hidden inside
    scales, rotations = torch.cat([scales, scales[:100]]), torch.cat([rotations, rotations[:100]])
    opacities = torch.cat([opacities, opacities[:100]])
    splats = (means, scales, rotations, opacities)
    chosen = milo.sample_gaussians_on_surface(views, *splats, 150, scene_type)
    assert chosen.dtype == torch.int64 and (chosen.diff() > 0).all() and 80 < len(chosen) <= 150
    assert (chosen < 400).float().mean() > 0.93
    assert torch.equal(chosen, milo.sample_gaussians_on_surface(views, *splats, 150, scene_type))
    candidates = torch.arange(500) % 2 == 0
    even = milo.sample_gaussians_on_surface(views, *splats, 150, scene_type, candidates, "surface+opacity")
    assert len(even) == 150 and candidates[even].all()
    with pytest.raises(ValueError, match="scene_type"):
        milo.sample_gaussians_on_surface(views, *splats, 150, "underwater")


def test_cameras_of_other_programs():
    ours = ring()[1]
    centred = torch.tensor([[40.0, 0, 20], [0, 40, 16], [0, 0, 1]])
    of_3dgs = SimpleNamespace(world_view_transform=ours.viewmat.T, FoVx=2 * math.atan(0.5), FoVy=2 * math.atan(0.4),
                              image_width=40, image_height=32, original_image=torch.ones(3, 32, 40))
    read = milo.as_camera(of_3dgs)
    assert torch.equal(read.viewmat, ours.viewmat) and torch.allclose(read.K, centred)
    assert read.size == (32, 40) and read.image.shape == (3, 32, 40)
    plain = milo.as_camera(SimpleNamespace(viewmat=ours.viewmat, K=ours.K, width=40, height=32))
    assert torch.equal(plain.K, ours.K) and plain.image is None
    colmap = milo.colmap_camera((0.5, 0.5, 0.5, 0.5), (1, 2, 3), "SIMPLE_PINHOLE", (40, 20, 16), 40, 32)
    assert torch.allclose(colmap.K, centred) and colmap.viewmat[:3, 3].tolist() == [1, 2, 3]
    assert torch.allclose(colmap.viewmat[:3, :3] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
    with pytest.raises(ValueError, match="undistort"):
        milo.colmap_camera((1, 0, 0, 0), (0, 0, 0), "OPENCV", (1,) * 8, 4, 4)
    with pytest.raises(ValueError, match="is no camera"):
        milo.as_camera(object())


def test_occupancy_and_signed_distance():
    values = torch.linspace(-1, 1, 9)
    assert torch.allclose(milo.occupancy_to_sdf(milo.sdf_to_occupancy(values)), values, atol=1e-6)
    assert float(milo.occupancy_to_sdf(torch.tensor(1.0))) == pytest.approx(-1.0101, abs=1e-4)
