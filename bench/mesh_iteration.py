# SPDX-License-Identifier: Apache-2.0
"""Times of the mesh part of a training iteration on a GPU, at the size of the fox, and of what happens now and then.

    python -m bench.mesh_iteration

A made-up scene: 72,910 Gaussians on a bumpy ball, 656,190 pivots, noise in the occupancy such that the mesh has about
as many vertices as the fox's.
"""

from __future__ import annotations

import math
import time

import torch

from bench.gpu_ops import median_ms
from milo.backend.config import Config
from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View
from milo.backend.extraction.refine import refine_and_extract
from milo.backend.gaussians.model import Gaussians
from milo.backend.mesh.fields import fused_sdf, median_depths, occupancy_labels
from milo.backend.mesh.loop import MeshInLoop
from milo.backend.rendering.scale import scene_scale
from milo.backend.rendering.splats import render_geometry
from milo.cuda_ext.pivots import field
from milo.cuda_ext.tets import marching_tetrahedra, tet_topology

GAUSSIANS, VIEWS, SIZE = 72_910, 43, (1000, 561)
NOISE = 1.5          # of the occupancy logits
REFINE_STEPS = 200


def bumpy_ball(generator):
    """Directions [N, 3] and their distances [N] from the centre."""
    directions = torch.nn.functional.normalize(torch.randn(GAUSSIANS, 3, generator=generator), dim=1)
    return directions, 1 + 0.1 * (9 * directions).sin().sum(1)


def look_at(eye):
    """[4, 4] world to camera of a camera at `eye` that looks at the origin."""
    forward = torch.nn.functional.normalize(-eye, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    return viewmat


def made_up_scene(device):
    """Gaussians with occupancies, and views."""
    generator = torch.Generator().manual_seed(0)
    directions, distance = bumpy_ball(generator)
    gaussians = Gaussians.from_points((directions * distance[:, None]).to(device), torch.rand(GAUSSIANS, 3).to(device))
    tensors = gaussians.tensors()
    tensors["quats"] = torch.randn(GAUSSIANS, 4, generator=generator).to(device)
    tensors["log_scales"] = math.log(0.006) + 0.4 * torch.randn(GAUSSIANS, 3, generator=generator).to(device)
    tensors["opacity_logits"] = torch.full((GAUSSIANS,), 2.0, device=device)
    gaussians = Gaussians(tensors)
    half_height, half_width = SIZE[0] / 2, SIZE[1] / 2
    K = torch.tensor([[1100.0, 0.0, half_width], [0.0, 1100.0, half_height], [0.0, 0.0, 1.0]])
    views = []
    for uid in range(VIEWS):
        angle = 2 * math.pi * uid / VIEWS
        eye = torch.tensor([3 * math.cos(angle), 3 * math.sin(angle), 0.5 * math.sin(3 * angle)])
        camera = Camera(look_at(eye), K, SIZE[1], SIZE[0], f"{uid}.png")
        views.append(View(camera.to(device), uid, torch.zeros(*SIZE, 3, dtype=torch.uint8, device=device)))
    return gaussians, views


def occupy(gaussians, mesh, generator):
    """Occupancies of the ball's inside at the pivots, with noise."""
    points = mesh.pivots(gaussians.splats().detach()).points
    n = len(gaussians)
    inside = 1 + 0.1 * (9 * torch.nn.functional.normalize(points, dim=1)).sin().sum(1) - points.norm(dim=1)
    inside = torch.cat([inside[: 8 * n].view(n, 8), inside[8 * n :, None]], 1)
    noise = torch.randn(n, 9, generator=generator).to(points.device)
    gaussians.base_occupancy = (100 * inside).clamp(-4, 4) + NOISE * noise


def seconds(run):
    """Time of one run, to the end of the GPU's work."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def kernel_times(run, runs=10):
    """{kernel: (ms of one run, launches of one run)} by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(runs):
            run()
        torch.cuda.synchronize()
    return {event.key: (event.device_time_total / runs / 1e3, event.count / runs) for event in profiler.key_averages()}


def main():
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; {SIZE[1]} x {SIZE[0]} pixels")
    config = Config()
    gaussians, views = made_up_scene(device)
    scale = scene_scale(config, 3.3)
    mesh = MeshInLoop(config.mesh, views, scale, lambda: None)
    occupy(gaussians, mesh, torch.Generator().manual_seed(1))
    weight = torch.rand(3, *SIZE, device=device)
    start = config.mesh.start_iter
    base = gaussians.base_occupancy.clone()
    first = seconds(lambda: mesh.begin(gaussians, gaussians.splats(), start))
    print(f"first iteration (Delaunay, fusion, labels): {first:.2f} s")
    gaussians.base_occupancy = base
    gaussians.occupancy_shift.data.zero_()
    view = views[5]

    def iteration(with_mesh=True, backward=True):
        splats = gaussians.splats()
        ahead = mesh.begin(gaussians, splats, start + 1) if with_mesh else None
        rendered = render_geometry(splats, view.camera, near=scale.splat_near)
        loss = (rendered.image * weight).sum() + rendered.median_depth.sum() + rendered.expected_depth.sum()
        if with_mesh:
            result = mesh.losses(ahead, view, rendered)
            loss = loss + sum(result.terms.values())
        if backward:
            loss.backward()
        return result if with_mesh else None

    result = iteration()
    print(f"{len(mesh.topology.tets)} tetrahedra, {len(mesh.topology.edges)} edges, {result.vertices} vertices; "
          + ", ".join(f"{name} {term.item():.5f}" for name, term in result.terms.items()))
    for name, options in (("iteration", {}), ("- without mesh", {"with_mesh": False}),
                          ("- forward alone", {"backward": False}),
                          ("- forward without mesh", {"with_mesh": False, "backward": False})):
        print(f"{name:45s} {median_ms(lambda options=options: iteration(**options)):9.3f} ms", flush=True)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    iteration()
    peak = torch.cuda.max_memory_allocated()
    print(f"memory: {before / 2**20:.0f} MiB before an iteration, {peak / 2**20:.0f} MiB at most in it")
    torch.cuda.reset_peak_memory_stats()
    took = 1e3 * seconds(lambda: tet_topology(mesh.topology.tets, mesh.topology.num_points))
    more = torch.cuda.max_memory_allocated() - before
    print(f"edge table: {took:.1f} ms, {more / 2**20:.0f} MiB beyond that")
    times = kernel_times(iteration)
    print(f"kernels: {sum(ms for ms, _ in times.values()):.3f} ms in {sum(n for _, n in times.values()):.0f} launches")
    for name, (ms, count) in sorted(times.items(), key=lambda item: -item[1][0]):
        if ms > 2e-3:
            print(f"    {name[:70]:70s} {ms:9.4f} ms  x {count:g}", flush=True)

    splats = gaussians.splats().detach()
    points = mesh.pivots(splats).points
    sdf, _, _ = field(gaussians.base_occupancy, gaussians.occupancy_shift.detach())
    verts, faces, _ = marching_tetrahedra(points, sdf, mesh.topology)
    for name, run in (
        ("labels, 43 views", lambda: occupancy_labels(points, verts, faces, views, scale, False)),
        ("depth fusion, 43 views", lambda: fused_sdf(points, views, median_depths(splats, views, scale), scale, False)),
    ):
        run()
        print(f"{name:45s} {1e3 * min(seconds(run) for _ in range(3)):9.1f} ms", flush=True)

    refine_config = Config(extract=type(config.extract)(refine_iters=REFINE_STEPS))
    stamps = []
    for step in refine_and_extract(splats, gaussians.base_occupancy, views, refine_config, scale,
                                   torch.Generator().manual_seed(0)):
        if getattr(step, "stage", "") == "refine":
            stamps.append(time.perf_counter())
    each = (stamps[-1] - stamps[VIEWS]) / (len(stamps) - 1 - VIEWS)
    print(f"refinement: {1e3 * each:.2f} ms a step, labels included; first {VIEWS} steps with their maps: "
          f"{stamps[VIEWS] - stamps[0]:.2f} s")


if __name__ == "__main__":
    main()
