# SPDX-License-Identifier: Apache-2.0
"""Our Delaunay triangulation of pivots against Qhull (scipy.spatial.Delaunay), both on one core; then on several.

    python -m bench.delaunay [--full]        # --full: Qhull on 450,000 points too, half a minute
    python -m bench.delaunay threads         # ours alone, 450 k to 1.45 M points, on all numbers of cores
    python -m bench.delaunay background      # how long it holds up a GPU's training loop
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import torch
from scipy.spatial import Delaunay

from milo.backend.mesh.triangulation import Triangulation
from milo.cuda_ext.delaunay import delaunay

from .timing import median_seconds


def pivots(gaussians, seed=0):
    """[9 N, 3] float32: corners and centres of the boxes of Gaussians on a noisy sphere, a tenth of them anywhere."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    means = torch.nn.functional.normalize(normal(gaussians, 3), dim=1) * (1 + 0.02 * normal(gaussians, 1))
    background = torch.rand(gaussians, generator=generator) < 0.1
    means[background] = 8 * torch.rand(int(background.sum()), 3, generator=generator) - 4
    scales = 0.6 / gaussians**0.5 * torch.exp(0.5 * normal(gaussians, 3)) * torch.tensor([1, 1, 0.1])
    rotations, _ = torch.linalg.qr(normal(gaussians, 3, 3))
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    corners = means[:, None] + (signs * 3 * scales[:, None]) @ rotations.mT
    return torch.cat([corners.reshape(-1, 3), means])


def against_qhull(full=False):
    print("Median of the Delaunay triangulation of pivots, processor time of one thread")
    for points, qhull_repeats in ((pivots(10_000), 3), (pivots(50_000), 1 if full else 0)):
        tets = len(delaunay(points, threads=1))
        ours = median_seconds(lambda points=points: delaunay(points, threads=1), 5, time.thread_time)
        print(f"  {len(points):,} points, {tets:,} tetrahedra")
        print(f"  {'milo.cuda_ext.delaunay':<24}{ours:9.2f} s")
        if qhull_repeats:
            doubles = points.double().numpy()
            qhull = median_seconds(lambda doubles=doubles: Delaunay(doubles), qhull_repeats, time.thread_time)
            print(f"  {'Qhull (scipy)':<24}{qhull:9.2f} s    ours is {qhull / ours:.1f} times faster")


def on_threads(gaussians=(50_000, 72_900, 161_000), most=16):
    threads = [count for count in (1, 2, 4, 8, 16) if count <= min(most, os.cpu_count())]
    print("Median of the Delaunay triangulation of pivots, seconds on so many threads")
    print("  " + f"{'points':>10}" + "".join(f"{count:>9}" for count in threads))
    for count in gaussians:
        points = pivots(count)
        seconds = [median_seconds(lambda points=points, n=n: delaunay(points, threads=n), 3) for n in threads]
        print("  " + f"{len(points):>10,}" + "".join(f"{s:9.3f}" for s in seconds))


def in_background(gaussians, lag, resets=5, iteration_ms=3.0, device="cuda"):
    """A loop that keeps the GPU busy for so long an iteration, and triangulates every 500."""
    points = pivots(gaussians).to(device)
    cycles = gpu_cycles(iteration_ms)
    triangulation, held_up = Triangulation(lag), {"first": [], "snapshot": [], "swap": []}
    start = time.perf_counter()
    for k in range(1, 500 * resets + 251):
        blocked, topology = triangulation.blocked_s, triangulation.topology
        triangulation.update(k, points, due=k % 500 == 0)
        what = "first" if topology is None else "swap" if topology is not triangulation.topology else "snapshot"
        if what != "snapshot" or k % 500 == 0:
            held_up[what].append(1e3 * (triangulation.blocked_s - blocked))
        torch.cuda._sleep(cycles)
        if k % 2:
            torch.cuda.current_stream().synchronize()   # as training does when it asks for the size of a mesh
    torch.cuda.synchronize()
    total = time.perf_counter() - start
    means = {what: statistics.mean(times) for what, times in held_up.items() if times}
    run = means["first"] + 19 * (means["swap"] + means.get("snapshot", 0))
    parts = ", ".join(f"{what} {ms:.1f} ms" for what, ms in means.items())
    print(f"  {len(points):>10,} points, lag {lag:>3}: {parts}; 20 triangulations {run / 1e3:.2f} s; "
          f"an iteration {1e3 * total / k:.2f} ms")


def gpu_cycles(ms):
    """What torch.cuda._sleep takes for so long."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(1000)
    start.record()
    torch.cuda._sleep(10_000_000)
    end.record()
    torch.cuda.synchronize()
    return int(10_000_000 * ms / start.elapsed_time(end))


def main(full=False):
    against_qhull(full)
    on_threads((10_000, 50_000) if full else (10_000,))


if __name__ == "__main__":
    if "threads" in sys.argv[1:]:
        on_threads()
    elif "background" in sys.argv[1:]:
        print("Training held up by the triangulation, 3 ms of GPU work an iteration")
        for gaussians in (72_900, 161_000):
            for lag in (0, 100, 200):
                in_background(gaussians, lag)
    else:
        main(full="--full" in sys.argv[1:])
