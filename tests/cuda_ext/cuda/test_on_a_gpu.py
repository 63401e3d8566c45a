# SPDX-License-Identifier: Apache-2.0
"""What the CUDA driver alone promises: it waits for nothing, keeps to its stream and device, agrees with the CPU."""

import pytest
import torch

from milo.cuda_ext import adam, delaunay, depth_normals, filter3d, fusion, mesh_losses, pivots, ssim, tets, triangles

pytestmark = pytest.mark.gpu
SIZE = (192, 256)


def camera(device="cuda"):
    K = torch.tensor([[200.0, 0.0, 130.3], [0.0, 210.0, 92.7], [0.0, 0.0, 1.0]], device=device)
    return torch.eye(4, device=device), K


@pytest.fixture
def waiting_is_an_error():
    """Within `with`, anything in torch that waits for the GPU raises."""
    class Guard:
        def __enter__(self):
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")

        def __exit__(self, *_):
            torch.cuda.set_sync_debug_mode("default")

    return Guard()


def ripples(side=160, device="cpu"):
    """A sheet that folds over itself, in front of a triangle that fills the image."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    z = 2.0 + 0.5 * torch.sin(row * 0.9) * torch.cos(column * 0.7)
    verts = torch.stack([(column - side / 2) / side * 1.6, (row - side / 2) / side * 1.6, z], -1).reshape(-1, 3)
    corner = (row * side + column)[:-1, :-1].reshape(-1)
    faces = torch.cat([
        torch.stack([corner, corner + 1, corner + side], 1),
        torch.stack([corner + 1, corner + side + 1, corner + side], 1),
        torch.tensor([[0, 1, 2]]) + len(verts),
    ]).int()  # fmt: skip
    behind = torch.tensor([[-9.0, -9.0, 5.0], [9.0, -9.0, 5.5], [0.0, 20.0, 6.0]])
    return torch.cat([verts, behind]).to(device), faces.to(device)


def test_image_and_point_ops_wait_for_nothing(waiting_is_an_error):
    viewmat, K = camera()
    image, target = torch.rand(2, 3, *SIZE, device="cuda").unbind()
    depth = (1 + torch.rand(SIZE, device="cuda")).requires_grad_()
    points = torch.randn(1000, 3, device="cuda")
    sizes, visible = torch.tensor([SIZE], device="cuda"), torch.ones(1000, dtype=torch.bool, device="cuda")
    state = [torch.rand_like(points) for _ in range(4)]
    value, weight, colors = torch.zeros(1000, device="cuda"), torch.zeros(1000, device="cuda"), torch.zeros_like(points)
    labels = torch.ones(1000, dtype=torch.uint8, device="cuda")

    def run():
        depth_normals.depth_normals(depth, K).sum().backward()
        ssim.photometric_loss(image.requires_grad_(), target).backward()
        adam.sparse_adam_step(*state, visible, 1e-3, 1)
        filter3d.filter_3d(points, viewmat[None], K[None], sizes)
        fusion.fuse_depth(points, depth, viewmat, K, value, weight, 0.1)
        fusion.fuse_colors(points, depth, target, viewmat, K, value, weight, colors, 0.1)
        fusion.carve_labels(points, depth, viewmat, K, labels)

    run()   # compiles
    with waiting_is_an_error:
        run()


def test_the_triangle_rasteriser_waits_for_nothing(waiting_is_an_error):
    viewmat, K = camera()
    verts, faces = ripples(device="cuda")
    verts.requires_grad_()

    def run():
        face_id = triangles.visibility(verts, faces, viewmat, K, SIZE)
        depth = triangles.face_depth(verts, faces, face_id, viewmat, K)
        normal = triangles.face_normals(verts, faces, face_id, viewmat)
        seen = triangles.interpolate(verts, verts, faces, face_id, viewmat, K)
        smooth = triangles.antialias(depth[None], verts, faces, face_id, viewmat, K)
        (normal.sum() + seen.sum() + smooth.sum()).backward()

    run()
    with waiting_is_an_error:
        run()


def test_a_mesh_iteration_waits_once(waiting_is_an_error):
    """From Gaussians to gradients, but for the size of the mesh."""
    viewmat, K = camera()
    viewmat[2, 3] = 3.0
    generator = torch.Generator().manual_seed(0)
    means, scales, quats, logits = (
        torch.randn(400, n, generator=generator).mul(scale).to("cuda").requires_grad_()
        for n, scale in ((3, 0.5), (3, 0.02), (4, 1.0), (9, 1.0))
    )
    labels, depth = torch.ones(3600, dtype=torch.uint8, device="cuda"), torch.full(SIZE, 3.0, device="cuda")
    corners = delaunay.delaunay(pivots.pivots(means, scales.abs(), quats)[0].detach()).to("cuda")
    topology, base = tets.tet_topology(corners, 3600), torch.zeros_like(logits)

    def before():
        points, radii = pivots.pivots(means, scales.abs(), quats)
        sdf, center, label = pivots.field(base, logits, None, labels)
        return points, sdf, tets.find_crossings(points, sdf, topology, 10 * radii), center + label

    def after(points, sdf, crossings, loss, counts):
        verts, faces, _ = tets.crossed_surface(points, sdf, crossings, counts)
        depth_map, normal, _ = triangles.mesh_maps(verts, faces, viewmat, K, SIZE)
        (loss + sum(mesh_losses.view_loss(depth_map, normal, depth, K, 1.0))).backward()

    counts = before()[2].counts.tolist()
    after(*before(), counts)
    assert counts[0] > 100 and counts[1] + counts[2] > 100
    with waiting_is_an_error:
        after(*before(), counts)
    for leaf in (means, scales, quats, logits):
        assert torch.isfinite(leaf.grad).all() and (leaf.grad != 0).any()


def test_large_meshes_look_the_same_on_both_devices():
    """Small faces, queued ones, one over the whole image; silhouettes everywhere."""
    results = []
    for device in ("cpu", "cuda"):
        viewmat, K = camera(device)
        verts, faces = ripples(device=device)
        verts.requires_grad_()
        face_id = triangles.visibility(verts, faces, viewmat, K, SIZE)
        depth = triangles.face_depth(verts, faces, face_id, viewmat, K)
        smooth = triangles.antialias(depth[None], verts, faces, face_id, viewmat, K)
        weight = torch.rand(smooth.shape, generator=torch.Generator().manual_seed(0)).to(device)
        (gradient,) = torch.autograd.grad((smooth * weight).sum(), verts)
        results.append([x.detach().cpu() for x in (face_id, depth, smooth, gradient)])
    (face_id, depth, smooth, gradient), ours = results
    assert (face_id == len(faces) - 1).any() and ((smooth - depth).abs() > 1e-3).sum() > 500
    assert (face_id != ours[0]).float().mean() < 1e-4
    assert ((depth - ours[1]).abs() > 1e-4).float().mean() < 1e-3
    assert ((smooth - ours[2]).abs() > 1e-4).float().mean() < 1e-3
    assert (gradient - ours[3]).norm() < 1e-2 * gradient.norm()


def test_many_tetrahedra_give_the_same_surface_on_both_devices():
    """Enough for several blocks, and a number that fills no run."""
    points = torch.rand(20_011, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sdf = torch.randn(len(points), generator=torch.Generator().manual_seed(1))
    corners = delaunay.delaunay(points)
    results = []
    for device in ("cpu", "cuda"):
        topology = tets.tet_topology(corners.to(device), len(points))
        field = points.to(device), sdf.to(device), topology
        kept = tets.marching_tetrahedra(*field, torch.full((len(points),), 0.04, device=device))[1]
        results.append([*topology[:3], *tets.marching_tetrahedra(*field), kept])
        assert 1000 < len(kept) < len(results[-1][4]) - 1000
    for a, b in zip(*results):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b.cpu(), rtol=0, atol=1e-6)


def test_kernels_run_on_the_current_stream():
    depth = torch.full(SIZE, 2.0, device="cuda")
    _, K = camera()
    depth_normals.depth_normals(depth, K)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(100_000_000)
        depth.fill_(0.0)   # late: only a kernel behind it on this stream sees it
        seen = depth_normals.depth_normals(depth, K)
    torch.cuda.synchronize()
    assert (seen == 0).all()


def test_a_tensor_elsewhere_is_named():
    param = torch.zeros(4, 3, device="cuda")
    with pytest.raises(ValueError, match="visible is on cpu, but param is on cuda:0"):
        adam.sparse_adam_step(param, param, param, param, torch.ones(4, dtype=torch.bool), 0.1, 1)
