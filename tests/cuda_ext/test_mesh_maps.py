# SPDX-License-Identifier: Apache-2.0
"""All maps of a mesh in one op: the ops one by one, the oracle, finite differences."""

import pytest
import torch

from milo.cuda_ext import triangles
from milo.cuda_ext.reference import triangles as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "triangles")

FRONT = torch.eye(4)


def scene(seed, dtype=torch.float64, count=30):
    """A soup of which one vertex is behind the camera, on few pixels: the oracle takes its time."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(count, 1, 3, generator=generator, dtype=torch.float64) * 0.7 + torch.tensor([0.0, 0.0, 3.0])
    verts = (middle + 0.5 * torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)).reshape(-1, 3)
    verts[0, 2] -= 6
    K = torch.tensor([[20.0, 0.0, 12.3], [0.0, 18.0, 9.6], [0.0, 0.0, 1.0]])
    return verts.to(dtype).requires_grad_(), torch.arange(3 * count).reshape(-1, 3).int(), FRONT, K, (20, 24)


def gradient(depth, normal, verts):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(4, *depth.shape, generator=generator, dtype=torch.float64).to(depth.dtype)
    (g,) = torch.autograd.grad((depth * weights[0]).sum() + (normal * weights[1:]).sum(), verts)
    return g


def one_by_one(verts, faces, viewmat, K, size, antialiased):
    face_id = triangles.visibility(verts, faces, viewmat, K, size)
    depth = triangles.face_depth(verts, faces, face_id, viewmat, K)
    if antialiased:
        depth = triangles.antialias(depth[None], verts, faces, face_id, viewmat, K)[0]
    return depth, triangles.face_normals(verts, faces, face_id, viewmat), face_id


@pytest.mark.parametrize("antialiased", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_what_the_ops_make_one_by_one(dtype, antialiased):
    mesh = scene(1, dtype)
    depth, normal, face_id = triangles.mesh_maps(*mesh, antialiased=antialiased)
    alone = one_by_one(*mesh, antialiased)
    assert torch.equal(face_id, alone[2]) and (face_id >= 0).float().mean() > 0.3
    assert torch.equal(normal, alone[1])
    rounding = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(depth, alone[0], rtol=rounding, atol=rounding)
    expected = gradient(*alone[:2], mesh[0])
    ours = gradient(depth, normal, mesh[0])
    torch.testing.assert_close(ours, expected, rtol=rounding, atol=rounding * expected.max())


@pytest.mark.parametrize("antialiased", [True, False])
def test_matches_the_oracle(antialiased):
    mesh = scene(2)
    ours, expected = (ops.mesh_maps(*mesh, antialiased=antialiased) for ops in (triangles, reference))
    assert torch.equal(ours[2], expected[2])
    for a, b in zip(ours[:2], expected):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient(*ours[:2], mesh[0]), gradient(*expected[:2], mesh[0]), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("antialiased", [True, False])
def test_gradients_are_those_of_finite_differences(antialiased):
    verts, *view = scene(5, count=6)
    assert torch.autograd.gradcheck(
        lambda v: triangles.mesh_maps(v, *view, antialiased=antialiased)[:2], verts, eps=1e-7, atol=1e-5,
        nondet_tol=1e-9)


def test_nothing_to_see():
    verts, faces, *camera = scene(1)
    depth, normal, face_id = triangles.mesh_maps(verts, faces[:0], *camera)
    assert (face_id == -1).all() and (depth == 0).all() and (normal == 0).all()
    assert (gradient(depth, normal, verts) == 0).all()


def test_one_map_alone_has_its_gradient():
    mesh = scene(3)
    depth, normal, _ = triangles.mesh_maps(*mesh)
    both = [torch.autograd.grad(x.square().sum(), mesh[0], retain_graph=True)[0] for x in (depth, normal)]
    (total,) = torch.autograd.grad(depth.square().sum() + normal.square().sum(), mesh[0])
    torch.testing.assert_close(both[0] + both[1], total, rtol=1e-9, atol=1e-9)


def test_refuses_what_is_no_view():
    verts, faces, viewmat, K, _ = scene(1)
    with pytest.raises(ValueError, match="size must be"):
        triangles.mesh_maps(verts, faces, viewmat, K, (0, 3))
    with pytest.raises(ValueError, match="near must be greater than 0"):
        triangles.mesh_maps(verts, faces, viewmat, K, (3, 3), near=0)
