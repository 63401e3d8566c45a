# SPDX-License-Identifier: Apache-2.0
"""From the pose of a mesh to a new picture of its splats, at 960 x 540; saved poses, without Blender.

    python -m bench.poses [--device cuda] [--gaussians 1000000] [--rings 250]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from milo.backend.editing.binding import Source
from milo.backend.editing.deform import Follower
from milo.backend.rendering.splats import Splats
from milo.protocol.surfaces import Pose, Surface

SIZE = (540, 960)


def ball(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """A sphere without its poles: verts [V, 3], which are its normals too, and faces [F, 3]."""
    sides = rings * 3 // 2
    polar, around = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rings), 2 * np.pi * np.arange(sides) / sides,
                                indexing="ij")
    verts = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], 2).reshape(-1, 3)
    row, side = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = row * sides + side, row * sides + (side + 1) % sides
    faces = np.stack([a, a + sides, b + sides, a, b + sides, b], 2).reshape(-1, 3)
    return verts.astype(np.float32), faces.astype(np.int32)


def scatter(verts: np.ndarray, count: int) -> Splats:
    """Gaussians over the ball that cover it about three times, with all harmonics."""
    random = torch.Generator().manual_seed(0)
    means = torch.nn.functional.normalize(torch.randn(count, 3, generator=random), dim=1)
    means = means * (1 + 0.01 * torch.randn(count, 1, generator=random))
    size = 2 / count**0.5
    scales = size * torch.exp(0.5 * torch.randn(count, 3, generator=random))
    return Splats(means, scales, torch.randn(count, 4, generator=random), torch.full((count,), 0.8),
                  torch.randn(count, 3, generator=random), 0.2 * torch.randn(count, 15, 3, generator=random), 3)


def poses_of(verts: np.ndarray, count: int) -> list[Pose]:
    """The ball twisting and swaying."""
    poses = []
    for k in range(count):
        angle = 0.2 * k * verts[:, 2]
        turned = np.stack([np.cos(angle) * verts[:, 0] - np.sin(angle) * verts[:, 1] + 0.1 * verts[:, 2] ** 2,
                           np.sin(angle) * verts[:, 0] + np.cos(angle) * verts[:, 1], verts[:, 2]], 1)
        poses.append(Pose(turned.astype(np.float32), np.eye(4, dtype=np.float32)[None]))
    return poses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gaussians", type=int, default=100_000)
    parser.add_argument("--rings", type=int, default=250)
    args = parser.parse_args()
    cuda = args.device == "cuda"

    def now() -> float:
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter()
    verts, faces = ball(args.rings)
    splats, poses = scatter(verts, args.gaussians), poses_of(verts, 12)
    surface = Surface(faces, verts, np.ones(len(verts), np.float32), verts, np.ones(len(faces), np.int32),
                      np.zeros(len(faces), np.int32), np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    start = now()
    follower = Follower({1: Source.of(splats, verts, faces)}, surface, poses[0], args.device)
    bound = now()
    viewmat = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 3], [0, 0, 0, 1]], device=args.device)
    K = torch.tensor([[700.0, 0, 480], [0, 700, 270], [0, 0, 1]], device=args.device)
    times = []
    for pose in poses:
        began = now()
        posed = follower.pose(pose)
        there = now()
        picture = posed.picture(viewmat, K, SIZE)
        image, depth = picture.image.cpu(), picture.depth.cpu()
        times.append((there - began, now() - there))
    assert image.isfinite().all() and depth.amax() > 0
    pose_ms, draw_ms = (1000 * float(np.median(column)) for column in zip(*times[2:]))
    print(f"{args.device}: {args.gaussians} Gaussians, {len(faces)} triangles: pose {pose_ms:.1f} ms, picture "
          f"{draw_ms:.1f} ms, together {pose_ms + draw_ms:.1f} ms; binding, once {bound - start:.2f} s")


if __name__ == "__main__":
    main()
