# SPDX-License-Identifier: Apache-2.0
"""Meshes as cameras see them, by each rasteriser: plane, order, clipping, gradients, silhouettes."""

import math

import pytest
import torch

from milo.backend.config import ConfigError, load_config
from milo.backend.data.cameras import Camera
from milo.backend.rendering import nvdiffrast_meshes
from milo.backend.rendering.meshes import render_mesh, require_rasterizer
from milo.backend.rendering.scale import SceneScale

from . import nvdiffrast_manual

SIZE = 36, 52
FAR = math.inf
REAL = [("native", "cpu"), *(pytest.param((name, "cuda"), marks=pytest.mark.gpu) for name in ("native", "nvdiffrast"))]


def named(pair):
    return "-".join(pair)


@pytest.fixture(params=[*REAL, ("manual", "cpu")], ids=named)
def render(request, monkeypatch):
    """render(verts, faces, near=, far=, antialiased=) -> MeshRender on the CPU, by one rasteriser."""
    rasterizer, device = request.param
    if request.param == ("nvdiffrast", "cuda"):
        pytest.importorskip("nvdiffrast.torch", reason="nvdiffrast is not installed")
    if rasterizer == "manual":
        monkeypatch.setattr(nvdiffrast_meshes, "require_nvdiffrast", lambda device: None)
        monkeypatch.setattr(nvdiffrast_meshes, "_library", lambda: nvdiffrast_manual)
    nvdiffrast_meshes._context.cache_clear()

    def draw(verts, faces, near=0.1, far=FAR, antialiased=False):
        scale = SceneScale(1.0, near, near, far, 0.002)
        name = "native" if rasterizer == "native" else "nvdiffrast"
        result = render_mesh(verts.to(device), faces.to(device), camera().to(device), scale, antialiased=antialiased,
                             rasterizer=name)
        return type(result)(*(value.cpu() for value in result))

    return draw


def camera():
    """Off-centre, turned and moved, so that no axis stands for another."""
    angle = torch.tensor(0.3)
    viewmat = torch.eye(4)
    viewmat[0, 0], viewmat[0, 2], viewmat[2, 0], viewmat[2, 2] = angle.cos(), angle.sin(), -angle.sin(), angle.cos()
    viewmat[:3, 3] = torch.tensor([0.1, -0.2, 0.3])
    return Camera(viewmat, torch.tensor([[45.0, 0, 22], [0, 50, 20], [0, 0, 1]]), SIZE[1], SIZE[0])


def in_world(points):
    """World coordinates of points in the camera's frame."""
    viewmat = camera().viewmat
    return (points - viewmat[:3, 3]) @ viewmat[:3, :3]


def tilted(half, z, slope=0.4):
    """A rectangle on the plane depth = z + slope x, in the camera's frame."""
    x = torch.tensor([-1.0, 1, 1, -1]) * half
    y = torch.tensor([-1.0, -1, 1, 1]) * half
    return torch.stack([x, y, z + slope * x], 1), torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


def both(first, second):
    return torch.cat([first[0], second[0]]), torch.cat([first[1], second[1] + len(first[0])])


def test_depth_and_normal_of_a_tilted_plane(render):
    verts, faces = tilted(9.0, 3.0, 0.2)
    depth, normal, face_id = render(in_world(verts), faces)
    columns = (torch.arange(SIZE[1]) + 0.5 - 22) / 45
    torch.testing.assert_close(depth, (3 / (1 - 0.2 * columns)).expand(SIZE), rtol=1e-4, atol=0)
    plane = torch.tensor([-0.2, 0, 1]) / math.hypot(0.2, 1)
    along = (normal * plane[:, None, None]).sum(0)
    assert (along.abs() - 1).abs().max() < 1e-4 and (face_id >= 0).all()


def test_the_nearer_face_is_seen_and_nothing_beside(render):
    verts, faces = both(tilted(0.5, 3.0, 0.0), tilted(0.8, 4.0, 0.0))
    depth, normal, face_id = render(in_world(verts), faces)
    seen = {name: (face_id == i) | (face_id == i + 1) for name, i in (("near", 0), ("far", 2))}
    assert abs(int(seen["near"].sum()) - 15 * 50 / 3) < 24 and (depth[seen["near"]] - 3).abs().max() < 1e-4
    assert seen["far"].sum() > 40 and (depth[seen["far"]] - 4).abs().max() < 1e-4
    assert (depth[face_id < 0] == 0).all() and (normal[:, face_id < 0] == 0).all() and (face_id < 0).any()


def test_faces_are_clipped_at_near_and_hidden_beyond_far(render):
    verts, faces = tilted(1.0, 1.0, 0.9)        # depth 0.1 to 1.9
    depth, _, face_id = render(in_world(verts), faces, near=0.6, far=1.5)
    assert (face_id >= 0).any() and depth[face_id >= 0].min() >= 0.6 - 1e-3 and depth.max() <= 1.5 + 1e-3
    assert depth[face_id >= 0].max() > 1.4 and depth[face_id >= 0].min() < 0.75


def test_no_faces_give_an_empty_picture_with_a_gradient(render):
    verts = torch.rand(4, 3).requires_grad_()
    depth, normal, face_id = render(verts, torch.empty(0, 3, dtype=torch.int32))
    assert not depth.any() and not normal.any() and (face_id == -1).all()
    (depth.sum() + normal.sum()).backward()
    assert verts.grad is not None and not verts.grad.any()


def test_gradients_are_those_of_the_native_rasteriser(render):
    """Of depths and normals inside; the silhouettes' have a test of their own."""
    verts, faces = both(tilted(0.6, 3.0), tilted(2.0, 4.0, -0.3))
    weight = torch.rand(4, *SIZE, generator=torch.Generator().manual_seed(0))
    gradients = []
    for draw in (render, lambda v, f: render_mesh(v, f, camera(), SceneScale(1.0, 0.1, 0.1, FAR, 0.002),
                                                  antialiased=False)):
        world = in_world(verts).requires_grad_()
        depth, normal, _ = draw(world, faces)
        (depth * weight[0] + (normal * weight[1:]).sum(0)).sum().backward()
        gradients.append(world.grad)
    torch.testing.assert_close(*gradients, rtol=0.03, atol=0.02 * float(gradients[1].abs().max()))


@pytest.mark.parametrize("render", REAL, indirect=True, ids=named)
def test_silhouettes_have_a_gradient_when_antialiased(render):
    """The area that a square covers grows with its size: so does the sum of its antialiased depths. Not of the manual
    one: antialiasing is nvdiffrast's own."""
    verts, faces = tilted(0.52, 3.0, 0.0)
    grown = torch.ones((), requires_grad=True)
    depth, _, _ = render(in_world(verts * torch.stack([grown, grown, torch.ones(())])), faces, antialiased=True)
    (gradient,) = torch.autograd.grad(depth.sum(), grown)
    assert float(gradient) == pytest.approx(2 * 3 * 15.6 * 17.3, rel=0.25)     # d(area)/d(size) = 2 area
    depth, _, _ = render(in_world(verts * torch.stack([grown, grown, torch.ones(())])), faces)
    (gradient,) = torch.autograd.grad(depth.sum(), grown)
    assert abs(float(gradient)) < 10


def test_more_faces_than_an_id_can_tell_are_drawn_in_parts(render, monkeypatch):
    verts, faces = both(both(tilted(0.5, 3.0), tilted(0.8, 4.0)), both(tilted(0.4, 2.9), tilted(2.0, 5.0)))
    whole = render(in_world(verts), faces)
    monkeypatch.setattr(nvdiffrast_meshes, "MOST_FACES", 3)
    for a, b in zip(whole, render(in_world(verts), faces)):
        torch.testing.assert_close(a, b)


def test_nvdiffrast_on_the_cpu_or_missing_is_said_at_once(monkeypatch):
    with pytest.raises(ConfigError, match=r"set mesh\.rasterizer=native"):
        require_rasterizer("nvdiffrast", "cpu")
    require_rasterizer("native", "cpu")
    monkeypatch.setitem(__import__("sys").modules, "nvdiffrast.torch", None)
    nvdiffrast_meshes._library.cache_clear()
    with pytest.raises(ConfigError, match=r"no commercial use.*pip install --no-build-isolation git\+https"):
        require_rasterizer("nvdiffrast", "cuda")
    nvdiffrast_meshes._library.cache_clear()
    assert load_config([], ["mesh.rasterizer=nvdiffrast"]).mesh.rasterizer == "nvdiffrast"
