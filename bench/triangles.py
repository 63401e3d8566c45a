# SPDX-License-Identifier: Apache-2.0
"""The triangle rasteriser on meshes of sub-pixel faces: milliseconds of each op, forward and backward.

    python -m bench.triangles
"""

from __future__ import annotations

import math

import torch

from milo.cuda_ext.native import native
from milo.cuda_ext.triangles import antialias, face_depth, face_normals, visibility

from .timing import median_seconds

FACES, SIZE, THREADS = (200_000, 1_000_000), (400, 400), 2


def bumpy_sphere(faces):
    """A closed mesh of about so many faces around (0, 0, 3); all in random order, the worst for caches."""
    side = round(math.sqrt(faces / 2))
    polar, azimuth = torch.meshgrid(
        torch.linspace(0.01, math.pi - 0.01, side + 1), torch.arange(side) * (2 * math.pi / side), indexing="ij"
    )
    radius = 1 + 0.05 * torch.sin(20 * polar) * torch.sin(20 * azimuth)
    verts = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], -1) * radius[..., None]
    row, column = torch.arange(side)[:, None], torch.arange(side)
    corner, right = row * side + column, row * side + (column + 1) % side
    quads = torch.stack([corner, right, corner + side, right, right + side, corner + side], -1)
    generator = torch.Generator().manual_seed(0)
    verts, faces = verts.reshape(-1, 3) + torch.tensor([0.0, 0.0, 3.0]), quads.reshape(-1, 3)
    place = torch.randperm(len(verts), generator=generator)
    faces = place[faces[torch.randperm(len(faces), generator=generator)]].int()
    return torch.empty_like(verts).index_copy_(0, place, verts), faces


def median_ms(run):
    return 1000 * median_seconds(run, 15, warm_up=True)


def measure(verts, faces, size=SIZE):
    """Milliseconds: {op: (forward, backward or None)}."""
    height, width = size
    viewmat, K = torch.eye(4), torch.tensor([[1.4 * width, 0, width / 2], [0, 1.4 * width, height / 2], [0, 0, 1]])
    face_id = visibility(verts, faces, viewmat, K, size)
    verts = verts.clone().requires_grad_()
    depth = face_depth(verts.detach(), faces, face_id, viewmat, K)[None]
    ops = {
        "depth": lambda: face_depth(verts, faces, face_id, viewmat, K),
        "normals": lambda: face_normals(verts, faces, face_id, viewmat),
        "antialias": lambda: antialias(depth, verts, faces, face_id, viewmat, K),
    }
    result = {"visibility": (median_ms(lambda: visibility(verts, faces, viewmat, K, size)), None)}
    for name, forward in ops.items():
        out = forward()
        g = torch.randn_like(out)
        backward = median_ms(lambda out=out, g=g: torch.autograd.grad(out, verts, g, retain_graph=True))
        result[name] = (median_ms(forward), backward)
    return result


def main():
    threads = torch.get_num_threads()
    native.set_num_threads(THREADS)
    torch.set_num_threads(THREADS)
    try:
        for faces in FACES:
            mesh = bumpy_sphere(faces)
            print(f"\n{len(mesh[1]):,} faces, {SIZE[1]} x {SIZE[0]} pixels, {THREADS} threads: median ms")
            print(f"{'':12}{'forward':>10}{'backward':>10}")
            for name, (forward, backward) in measure(*mesh).items():
                print(f"{name:12}{forward:10.1f}" + (f"{backward:10.1f}" if backward is not None else ""))
    finally:
        native.set_num_threads(0)
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
