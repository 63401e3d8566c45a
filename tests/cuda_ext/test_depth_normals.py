# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import depth_normals as ours
from milo.cuda_ext.reference import depth_normals as oracle


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")

K = torch.tensor([[50.0, 0, 17.3], [0, 61.0, 12.9], [0, 0, 1]], dtype=torch.float64)


def random_depth(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 + torch.rand(23, 31, generator=generator, dtype=torch.float64)


def test_a_constant_depth_faces_the_camera():
    """Appendix A.12: (0, 0, -1) inside, 0 on the border."""
    normal = ours.depth_normals(torch.full((9, 11), 3.0), K.float())
    assert torch.allclose(normal[:, 1:-1, 1:-1], torch.tensor([0.0, 0, -1])[:, None, None].expand(3, 7, 9), atol=1e-6)
    normal[:, 1:-1, 1:-1] = 0
    assert normal.abs().max() == 0


def test_a_tilted_plane_shows_its_own_normal():
    plane = torch.tensor([0.3, -0.5, -0.81], dtype=torch.float64)
    plane = plane / plane.norm()
    rows = torch.arange(40, dtype=torch.float64)[:, None].expand(40, 50)
    cols = torch.arange(50, dtype=torch.float64).expand(40, 50)
    rays = torch.stack([(cols + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1], torch.ones_like(rows)])
    depth = -3.0 / torch.einsum("c,chw->hw", plane, rays)
    assert (depth > 0).all()
    normal = ours.depth_normals(depth, K)[:, 1:-1, 1:-1]
    assert (normal - plane[:, None, None]).abs().max() < 1e-12


def test_equals_the_oracle_and_its_gradient():
    weights = torch.randn(3, 23, 31, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine, theirs = (random_depth().requires_grad_() for _ in range(2))
    normal, expected = ours.depth_normals(mine, K), oracle.depth_normals(theirs, K)
    assert torch.allclose(normal, expected, atol=1e-12)
    (normal * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-9)
    single = random_depth().float().requires_grad_()
    (ours.depth_normals(single, K.float()) * weights.float()).sum().backward()
    assert torch.allclose(single.grad.double(), theirs.grad, rtol=2e-3, atol=2e-3)


def test_gradient_by_finite_differences():
    depth = random_depth(3)[:7, :6].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda depth: ours.depth_normals(depth, K), depth)


def test_empty_pixels_have_no_normal_and_no_nan():
    depth = random_depth().float()
    depth[5:15, 5:15] = 0
    depth.requires_grad_()
    normal = ours.depth_normals(depth, K.float())
    normal.square().sum().backward()
    assert normal[:, 7:13, 7:13].abs().max() == 0
    assert torch.isfinite(depth.grad).all()


def test_refuses_what_is_no_depth_map():
    with pytest.raises(ValueError, match=r"depth must have shape \[H, W\]"):
        ours.depth_normals(torch.zeros(3, 4, 5), K)


def test_loss_of_a_flat_wall_is_its_border():
    """Appendix A.12: normals of a constant depth are (0, 0, -1) inside, and nothing on the border."""
    depth = torch.full((12, 16), 2.5)
    normal = torch.zeros(3, 12, 16)
    normal[2] = -1
    border = 1 - (10 * 14) / (12 * 16)
    assert float(ours.depth_normal_loss(normal, depth, depth, K, 0.6)) == pytest.approx(border, abs=1e-6)
    assert float(ours.depth_normal_loss(normal, depth, depth, K, 0.6, 0.05)) == pytest.approx(0.05 * border, abs=1e-6)


def test_loss_has_shares_of_the_two_depths():
    wall, empty = torch.full((12, 16), 2.5), torch.zeros(12, 16)
    normal = torch.zeros(3, 12, 16)
    normal[2] = -1
    inside = (10 * 14) / (12 * 16)
    assert float(ours.depth_normal_loss(normal, empty, wall, K, 0.6)) == pytest.approx(1 - 0.6 * inside, abs=1e-6)
    assert float(ours.depth_normal_loss(normal, wall, empty, K, 0.6)) == pytest.approx(1 - 0.4 * inside, abs=1e-6)


def rendered_maps(rows=23, columns=31, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    depths = [2 + 0.1 * torch.rand(rows, columns, generator=generator, dtype=torch.float64) for _ in range(2)]
    normal = torch.randn(3, rows, columns, generator=generator, dtype=torch.float64)
    return [value.to(dtype).requires_grad_() for value in (normal, *depths)]


def test_loss_and_its_gradients_equal_the_oracles():
    theirs = rendered_maps()
    wanted = oracle.depth_normal_loss(*theirs, K, 0.6, 0.05)
    (3 * wanted).backward()
    for dtype, rtol in ((torch.float64, 1e-10), (torch.float32, 2e-3)):
        mine = rendered_maps(dtype=dtype)
        loss = ours.depth_normal_loss(*mine, K, 0.6, 0.05)
        (3 * loss).backward()
        torch.testing.assert_close(loss.double(), wanted, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=0)
        for a, b in zip(mine, theirs):
            torch.testing.assert_close(a.grad.double(), b.grad, rtol=rtol, atol=rtol * float(b.grad.abs().max()))


def test_empty_pixels_give_the_loss_no_nan():
    maps = rendered_maps(dtype=torch.float32)
    for depth in maps[1:]:
        depth.data[4:12, 4:12] = 0
    ours.depth_normal_loss(*maps, K, 0.6).backward()
    assert all(torch.isfinite(value.grad).all() for value in maps)
    assert maps[0].grad[:, 6:10, 6:10].abs().max() == 0


def test_gradients_of_the_loss_by_finite_differences():
    maps = [value.detach()[..., :6, :7].clone().requires_grad_() for value in rendered_maps()]
    assert torch.autograd.gradcheck(lambda *maps: ours.depth_normal_loss(*maps, K, 0.6), maps)


def test_loss_refuses_maps_that_do_not_agree():
    normal, median, expected = rendered_maps()
    with pytest.raises(ValueError, match=r"expected_depth must have shape \[23, 31\]"):
        ours.depth_normal_loss(normal, median, expected[:5], K, 0.6)
    with pytest.raises(ValueError, match="normal must be float64"):
        ours.depth_normal_loss(normal.float(), median, expected, K, 0.6)
