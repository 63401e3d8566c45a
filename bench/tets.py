# SPDX-License-Identifier: Apache-2.0
"""Marching tetrahedra on a static edge table against plain PyTorch, the same triangulation, the same threads.

    python -m bench.tets
"""

from __future__ import annotations

import torch

from milo.cuda_ext import tets as ours
from milo.cuda_ext.delaunay import delaunay
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import tets as plain

from .delaunay import pivots
from .timing import median_seconds

GAUSSIANS, THREADS = 19_000, 2


def forward_backward(march, points, sdf, *topology):
    points, sdf = points.clone().requires_grad_(), sdf.clone().requires_grad_()
    march(points, sdf, *topology)[0].square().sum().backward()


def main():
    torch.set_num_threads(THREADS)
    native.set_num_threads(THREADS)
    points = pivots(GAUSSIANS)
    sdf = points.norm(dim=1) - 1
    tets = delaunay(points)
    topology, plain_topology = ours.tet_topology(tets, len(points)), plain.tet_topology(tets)
    faces = len(ours.marching_tetrahedra(points, sdf, topology)[1])
    print(f"Median of marching tetrahedra, {len(tets):,} tetrahedra, {faces:,} triangles, {THREADS} threads")
    for name, our_run, plain_run, repeats in (
        ("edge table (once)", lambda: ours.tet_topology(tets, len(points)), lambda: plain.tet_topology(tets), 3),
        ("forward", lambda: ours.marching_tetrahedra(points, sdf, topology),
         lambda: plain.surface(points, sdf, tets, *plain_topology), 15),
        ("forward + backward", lambda: forward_backward(ours.marching_tetrahedra, points, sdf, topology),
         lambda: forward_backward(plain.surface, points, sdf, tets, *plain_topology), 15),
    ):
        our_time, plain_time = median_seconds(our_run, repeats), median_seconds(plain_run, repeats)
        print(f"  {name:<20}PyTorch{1e3 * plain_time:9.1f} ms    milo.cuda_ext{1e3 * our_time:8.1f} ms    "
              f"{plain_time / our_time:.1f} times faster")


if __name__ == "__main__":
    main()
