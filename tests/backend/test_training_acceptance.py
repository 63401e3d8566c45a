# SPDX-License-Identifier: Apache-2.0
"""The acceptance checks of spec training.md, appendix B, that span several parts (the list: docs/acceptance.md)."""

import math

import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.gaussians.model import Gaussians
from milo.backend.mesh.fields import fused_sdf, occupancy_labels
from milo.backend.mesh.pivots import from_pivot_order, gaussian_pivots
from milo.backend.mesh.surface import compact, extract_surface, triangulate
from milo.backend.rendering.meshes import mesh_depth
from milo.backend.rendering.scale import SceneScale
from milo.cuda_ext.fusion import fuse_depth
from milo.cuda_ext.pivots import field
from milo.cuda_ext.triangles import face_depth, visibility


def test_b1_projection_of_the_spec():
    """A.2: u = 394.5, v = 189.5, 0 at the centre of the first pixel; a depth that grows with both tells them."""
    K = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    rows, columns = torch.meshgrid(torch.arange(480.0).double(), torch.arange(640.0).double(), indexing="ij")
    found, weight = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    fuse_depth(torch.tensor([[0.3, -0.2, 2.0]], dtype=torch.float64), 2 + 1e-3 * columns + 1e-6 * rows, torch.eye(4), K,
               found, weight, truncation=1.0)
    assert found.item() == pytest.approx(0.3945 + 0.0001895, abs=1e-9)


def test_b2_mesh_depth_is_where_the_ray_meets_the_plane():
    """At interior pixels the gradient is that of n . v0 / (n . ray)."""
    K = torch.tensor([[20.0, 0, 8], [0, 22, 7], [0, 0, 1]], dtype=torch.float64)
    verts = torch.tensor([[-1.5, -1.2, 2.0], [1.6, -1.1, 2.6], [0.1, 1.7, 3.1]], dtype=torch.float64)
    verts.requires_grad_()
    faces = torch.tensor([[0, 1, 2]], dtype=torch.int32)
    viewmat, size = torch.eye(4, dtype=torch.float64), (14, 16)
    face_id = visibility(verts.detach(), faces, viewmat, K, size, near=0.01)
    depth = face_depth(verts, faces, face_id, viewmat, K)
    rows, columns = torch.meshgrid(torch.arange(14.0).double() + 0.5, torch.arange(16.0).double() + 0.5, indexing="ij")
    rays = torch.stack([(columns - 8) / 20, (rows - 7) / 22, torch.ones_like(rows)], -1)
    normal = torch.linalg.cross(verts[1] - verts[0], verts[2] - verts[0])
    plane = (normal @ verts[0]) / (rays @ normal)
    hit = face_id >= 0
    weights = torch.rand(14, 16, dtype=torch.float64) * hit
    assert hit.sum() > 50 and torch.allclose(depth[hit], plane[hit], rtol=1e-12)
    ours, analytic = (torch.autograd.grad((value * weights).sum(), verts, retain_graph=True)[0]
                      for value in (depth, plane))
    assert torch.allclose(ours, analytic, rtol=1e-9, atol=1e-9)


def test_b2_labels_pull_at_the_shift_alone():
    """The occupancy that depth fusion has left is a constant."""
    gaussians = Gaussians.from_points(torch.rand(6, 3), torch.rand(6, 3))
    labels = (torch.arange(54) % 3 == 0).to(torch.uint8)
    _, _, loss = field(gaussians.base_occupancy, gaussians.occupancy_shift, None, labels)
    loss.backward()
    assert gaussians.occupancy_shift.grad.abs().min() > 0 and gaussians.base_occupancy.grad is None
    assert gaussians.means.grad is None


def test_b8_a_plane():
    """All Gaussians on a plane, seen with its exact depth: labels 1 behind and 0 in front, the mesh is the plane."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.linspace(-1, 1, 13)
    means = torch.cat([torch.cartesian_prod(grid, grid), torch.zeros(169, 1)], 1)
    means[:, :2] += 0.02 * torch.randn(169, 2, generator=generator)
    angle = math.pi * torch.rand(169, generator=generator)
    quats = torch.stack([angle.cos(), 0 * angle, 0 * angle, angle.sin()], 1)
    pivots = gaussian_pivots(means, torch.tensor([0.05, 0.05, 0.004]).repeat(169, 1), quats)

    scale = SceneScale(extent=2.0, splat_near=0.01, mesh_near=0.01, mesh_far=100.0, truncation=0.02)
    quad = torch.tensor([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    K = torch.tensor([[60.0, 0, 48], [0, 60, 48], [0, 0, 1]])
    views = []
    for x, y in ((0.0, 0.0), (0.3, -0.2), (-0.3, 0.2)):      # above the plane, looking down
        viewmat = torch.diag(torch.tensor([1.0, -1, -1, 1]))
        viewmat[:3, 3] = -(viewmat[:3, :3] @ torch.tensor([x, y, 2.0]))
        views.append(type("View", (), {"camera": Camera(viewmat, K, 96, 96, "a"), "mask": None})())
    depths = [mesh_depth(quad, faces, view.camera, scale) for view in views]
    assert all(torch.allclose(depth, torch.tensor(2.0)) for depth in depths)

    sdf = fused_sdf(pivots.points, views, depths, scale, carve=False)
    surface = extract_surface(pivots, sdf, triangulate(pivots.points))
    verts, kept = compact(surface.verts, surface.faces)
    assert len(kept) > 500 and verts[:, 2].abs().max() < scale.truncation

    points = torch.cat([means + torch.tensor([0, 0, offset]) for offset in (0.1, -0.1)])
    labels = occupancy_labels(points, verts, kept, views, scale, carve=False)
    inner = (means[:, :2].abs() < 0.8).all(1)
    assert (labels[:169][inner] == 0).all() and (labels[169:][inner] == 1).all()
    assert (from_pivot_order(sdf)[:, 8].abs() < 1e-3).all()    # centres lie on the plane
