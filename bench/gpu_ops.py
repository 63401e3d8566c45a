# SPDX-License-Identifier: Apache-2.0
"""Times of the ops other than the Gaussian rasterisers on a GPU: medians of the whole call, in milliseconds.

    python -m bench.gpu_ops
"""

from __future__ import annotations

import math
import statistics
import time

import torch

from milo.cuda_ext import adam, depth_normals, filter3d, fusion, neighbours, ssim, tets, triangles
from milo.cuda_ext.delaunay import delaunay

SIZE = (561, 1000)          # the fox's photos
GAUSSIANS, POINTS, CAMERAS = 500_000, 640_000, 100
RUNS = 20


def median_ms(run):
    """Median time of a call, launches included, after three to warm up."""
    times = []
    for k in range(RUNS + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        end.synchronize()
        if k >= 3:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def camera(device):
    viewmat = torch.eye(4)
    viewmat[2, 3] = 3.0
    K = torch.tensor([[900.0, 0.0, SIZE[1] / 2], [0.0, 900.0, SIZE[0] / 2], [0.0, 0.0, 1.0]])
    return viewmat.to(device), K.to(device)


def gyroid(points):
    """A field whose surface has folds everywhere, as an early mesh of a scene does."""
    x, y, z = (12 * points).unbind(1)
    return x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()


def backward_of(output, inputs, grad):
    return lambda: torch.autograd.grad(output, inputs, grad, retain_graph=True)


def image_ops(device):
    _, K = camera(device)
    image, target = (torch.rand(3, *SIZE, device=device) for _ in range(2))
    image.requires_grad_()
    depth = (2 + torch.rand(SIZE, device=device)).requires_grad_()
    normal = depth_normals.depth_normals(depth, K)
    yield "depth normals", lambda: depth_normals.depth_normals(depth, K)
    yield "depth normals, backward", backward_of(normal, depth, torch.rand_like(normal))
    yield "photometric loss with gradient", lambda: ssim.photometric_loss(image, target)


def point_ops(device):
    viewmat, K = camera(device)
    state = [torch.rand(GAUSSIANS, 15, 3, device=device) for _ in range(4)]
    seen = torch.rand(GAUSSIANS, device=device) < 0.5
    means = torch.randn(GAUSSIANS, 3, device=device)
    viewmats, Ks = viewmat.repeat(CAMERAS, 1, 1), K.repeat(CAMERAS, 1, 1)
    sizes = torch.tensor([SIZE] * CAMERAS, device=device)
    depth, image = 3 + torch.rand(SIZE, device=device), torch.rand(3, *SIZE, device=device)
    value, weight, colors = means.new_zeros(len(means)), means.new_zeros(len(means)), torch.zeros_like(means)
    labels = torch.ones(len(means), dtype=torch.uint8, device=device)
    yield "sparse Adam, 22.5 M scalars, half seen", lambda: adam.sparse_adam_step(*state, seen, 1e-3, 7)
    yield "3D filter, 500 k means, 100 cameras", lambda: filter3d.filter_3d(means, viewmats, Ks, sizes)
    yield "fuse depth, 500 k points", lambda: fusion.fuse_depth(means, depth, viewmat, K, value, weight, 0.1)
    yield "fuse colours, 500 k points", lambda: fusion.fuse_colors(
        means, depth, image, viewmat, K, value, weight, colors, 0.1
    )
    yield "carve labels, 500 k points", lambda: fusion.carve_labels(means, depth, viewmat, K, labels)
    yield "three nearest of 500 k points", lambda: neighbours.mean_sq_distance(means)


def mesh_ops(device):
    viewmat, K = camera(device)
    points = torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    start = time.perf_counter()
    corners = delaunay(points)
    print(f"Delaunay of {POINTS} points on the CPU: {time.perf_counter() - start:.2f} s, {len(corners)} tetrahedra")
    corners, points = corners.to(device), points.to(device).requires_grad_()
    topology = tets.tet_topology(corners, POINTS)
    sdf = gyroid(points).detach().requires_grad_()
    verts, faces, _ = tets.marching_tetrahedra(points, sdf, topology)
    print(f"mesh: {len(verts)} vertices, {len(faces)} faces")
    yield "edge table", lambda: tets.tet_topology(corners, POINTS)
    yield "marching tetrahedra", lambda: tets.marching_tetrahedra(points.detach(), sdf.detach(), topology)
    yield "marching tetrahedra, backward", backward_of(verts, (points, sdf), torch.rand_like(verts))
    verts = verts.detach().requires_grad_()
    face_id = triangles.visibility(verts, faces, viewmat, K, SIZE)
    view = verts, faces, face_id, viewmat
    depth, normal = triangles.face_depth(*view, K), triangles.face_normals(*view)
    smooth = triangles.antialias(depth[None], *view, K)
    yield "visibility", lambda: triangles.visibility(verts, faces, viewmat, K, SIZE)
    yield "face depth", lambda: triangles.face_depth(*view, K)
    yield "face depth, backward", backward_of(depth, verts, torch.rand_like(depth))
    yield "face normals", lambda: triangles.face_normals(*view)
    yield "face normals, backward", backward_of(normal, verts, torch.rand_like(normal))
    yield "antialias", lambda: triangles.antialias(depth.detach()[None], *view, K)
    yield "antialias, backward", backward_of(smooth, verts, torch.rand_like(smooth))


def kernel_times(runs):
    """Mean time of each kernel over a few calls of everything, by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _, run in runs:
            for _ in range(5):
                run()
        torch.cuda.synchronize()
    return {event.key: (event.device_time_total / event.count / 1e3, event.count) for event in profiler.key_averages()}


def main():
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; {SIZE[1]} x {SIZE[0]} pixels")
    for group in (image_ops, point_ops, mesh_ops):
        runs = list(group(device))
        for name, run in runs:
            print(f"{name:45s} {median_ms(run):9.3f} ms", flush=True)
        for name, (mean, count) in sorted(kernel_times(runs).items(), key=lambda item: -item[1][0]):
            if mean > 1e-3 and not math.isnan(mean):
                print(f"    {name[:60]:60s} {mean:9.4f} ms  x {count}", flush=True)


if __name__ == "__main__":
    main()
