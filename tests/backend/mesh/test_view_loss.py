# SPDX-License-Identifier: Apache-2.0
"""Options of the comparison between mesh and Gaussians, and of the faces that take part (spec training.md 4.4, 5.5)."""

from dataclasses import replace

import pytest
import torch

from milo.backend.config import MeshConfig
from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View
from milo.backend.mesh.fields import occupancy_labels
from milo.backend.mesh.pivots import Pivots
from milo.backend.mesh.surface import Surface, extract_surface, triangulate
from milo.backend.mesh.view_loss import view_terms
from milo.backend.rendering.frustum import faces_in_view
from milo.backend.rendering.scale import SceneScale
from milo.cuda_ext.depth_normals import depth_normals

SCALE = SceneScale(extent=2.0, splat_near=0.01, mesh_near=0.01, mesh_far=100.0, truncation=0.01)
SIZE = 24
# A square a little tilted, and larger than what the camera sees at that depth.
VERTS = torch.tensor([[-2.0, -2.0, 1.9], [2.0, -2.0, 2.1], [2.0, 2.0, 2.1], [-2.0, 2.0, 1.9]])
FACES = torch.tensor([[0, 2, 1], [0, 3, 2]], dtype=torch.int32)


@pytest.fixture
def view():
    K = torch.tensor([[24.0, 0, 12], [0, 24, 12], [0, 0, 1]])
    image = torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8)
    return View(Camera(torch.eye(4), K, SIZE, SIZE, "a.png"), 0, image)


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    expected, median = (2 + 0.1 * torch.rand(SIZE, SIZE, generator=generator) for _ in range(2))
    normal = torch.nn.functional.normalize(torch.randn(3, SIZE, SIZE, generator=generator), dim=0)
    return [value.requires_grad_() for value in (expected, median, normal)]


def terms(config, view, maps, verts=VERTS):
    return view_terms(config, Surface(verts, FACES), view, maps[0], maps[1], SCALE, maps[2])


def test_detached_gaussians_do_not_move(view, maps):
    verts = VERTS.clone().requires_grad_()
    for detach in (False, True):
        loss = sum(terms(MeshConfig(detach_splats=detach), view, maps, verts).values())
        of_verts, of_median = torch.autograd.grad(loss, (verts, maps[1]), allow_unused=True)
        assert of_verts.any() and (of_median is None) == detach


def test_the_plain_form_is_that_of_the_kernel(view, maps):
    """Given the rendered normals of the depth itself, the slow path equals the fused one, in all gradients."""
    config = MeshConfig(depth_ratio=0.7, every=3)
    K = view.camera.K
    verts = VERTS.clone().requires_grad_()
    fused = terms(config, view, maps, verts)
    of_depth = 0.3 * depth_normals(maps[0], K) + 0.7 * depth_normals(maps[1], K)
    plain = view_terms(replace(config, normal_source="render"), Surface(verts, FACES), view, maps[0], maps[1], SCALE,
                       of_depth)
    for name in ("mesh_depth", "mesh_normal"):
        assert torch.allclose(fused[name], plain[name], rtol=1e-5)
        for ours, theirs in zip(*(torch.autograd.grad(form[name], (verts, *maps[:2]), allow_unused=True,
                                                      retain_graph=True) for form in (fused, plain))):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-7)


def test_normals_can_be_those_that_were_rendered(view, maps):
    from_depth, rendered = (terms(MeshConfig(normal_source=source), view, maps)["mesh_normal"]
                            for source in ("depth", "render"))
    plane = torch.linalg.cross(VERTS[2] - VERTS[0], VERTS[1] - VERTS[0])
    cosine = (torch.nn.functional.normalize(plane, dim=0)[:, None, None] * maps[2]).sum(0).abs()
    assert rendered.item() == pytest.approx(0.05 * (1 - cosine).mean().item(), rel=1e-4)
    assert from_depth.item() != pytest.approx(rendered.item(), rel=0.1)


def test_depths_can_be_compared_by_their_normals(view, maps):
    """The alternative depth loss is blind to an offset and sees a tilt."""
    rows = torch.arange(SIZE)[:, None] + 0.5 - 12
    depths = {"equal": torch.full((SIZE, SIZE), 2.0), "tilted": 2 / (1 - 0.6 * rows / 24).expand(SIZE, SIZE)}
    facing = torch.tensor([[-2.0, -2, 2.5], [2, -2, 2.5], [2, 2, 2.5], [-2, 2, 2.5]])
    loss = {name: terms(MeshConfig(depth_loss="normal"), view, (depth, depth, maps[2]), facing)["mesh_depth"].item()
            for name, depth in depths.items()}
    ring = 1 - (SIZE - 2) ** 2 / SIZE**2
    assert loss["equal"] == pytest.approx(0.05 * ring, rel=1e-4)
    cosine = 1 / (1 + 0.6**2) ** 0.5
    assert loss["tilted"] == pytest.approx(0.05 * (ring + (1 - ring) * (1 - cosine)), rel=1e-3)


def test_the_references_frustum_filter_loses_what_fills_the_picture(view, maps):
    assert len(faces_in_view(VERTS, FACES, view.camera, SCALE)) == 0
    inside = torch.cat([VERTS, torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -2.0], [0.0, 0.0, 200.0]])])
    faces = torch.tensor([[0, 1, 4], [0, 1, 5], [0, 1, 6], [0, 1, 2]], dtype=torch.int32)
    assert faces_in_view(inside, faces, view.camera, SCALE).tolist() == [[0, 1, 4]]
    kept, lost = (terms(MeshConfig(frustum_filter=filtered), view, maps) for filtered in (False, True))
    assert kept["mesh_depth"] > 0 and lost["mesh_depth"] == 0
    behind = torch.tensor([[0.0, 0.0, 2.5], [0.0, 0.0, 1.0]])
    labels = [occupancy_labels(behind, VERTS, FACES, [view], SCALE, False, filtered).tolist()
              for filtered in (False, True)]
    assert labels == [[1, 0], [1, 1]]     # without the faces nobody judges


def test_a_pixel_of_the_frustum_filter_is_rounded(view):
    """Integer pixel centres 0 .. W - 1, so the picture reaches half a pixel beyond the outer centres and no further."""
    for u, seen in ((-0.49, True), (-0.51, False), (SIZE - 0.51, True), (SIZE - 0.49, False)):
        x = (u + 0.5 - 12) / 24 * 2
        verts = torch.tensor([[x, 0.0, 2.0], [99.0, 0, 2], [99.0, 9, 2]])
        assert len(faces_in_view(verts, torch.tensor([[0, 1, 2]], dtype=torch.int32), view.camera, SCALE)) == seen


def test_faces_on_long_edges():
    """Dropped, kept, or their vertices moved to the end that lies deeper inside."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(60, 3, generator=generator, dtype=torch.float32)
    sdf = (points - 0.5).norm(dim=1) - 0.3
    radii = torch.full((60,), 0.12)
    pivots, topology = Pivots(points, radii), triangulate(points)
    dropped, kept, collapsed = (extract_surface(pivots, sdf, topology, way) for way in ("drop", "keep", "collapse"))
    assert 0 < len(dropped.faces) < len(kept.faces) == len(collapsed.faces)
    moved = (collapsed.verts != kept.verts).any(1)
    assert 0 < moved.sum() < len(moved)
    at = (collapsed.verts[moved][:, None] == points).all(2)      # [M, P]
    assert at.any(1).all() and (sdf[at.int().argmax(1)] <= 0).all()
    assert torch.equal(torch.isin(kept.faces, moved.nonzero().int()).any(1).sum(),
                       torch.tensor(len(kept.faces) - len(dropped.faces)))
