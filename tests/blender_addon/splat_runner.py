# SPDX-License-Identifier: Apache-2.0
"""A reconstruction that ends at once with a ball of real Gaussians, for tests of pictures.

Settings of the job (fake.*): colour ("red", "green" or "blue"), x (where the ball is).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from milo.backend.data.ply import SplatColumns, write_mesh, write_splats
from milo.backend.service.job_folder import read_request
from milo.backend.training.events import Finished, Progress, Snapshot

RADIUS, COUNT = 0.5, 4000
COLOURS = {"red": (0.9, 0.1, 0.1), "green": (0.1, 0.8, 0.1), "blue": (0.1, 0.2, 0.9)}


def sphere(x: float, rings: int = 24, sides: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """A closed ball: (verts [V, 3], faces [F, 3]), faces turned outwards."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    around = 2 * np.pi * np.arange(sides)[None] / sides
    ring = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], 2)
    verts = np.concatenate([ring.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]]) * RADIUS + [x, 0, 0]
    row, side = np.meshgrid(np.arange(rings - 2), np.arange(sides), indexing="ij")
    a, b = (row * sides + side).ravel(), (row * sides + (side + 1) % sides).ravel()
    c, d = a + sides, b + sides
    first, last, top = np.arange(sides), (rings - 2) * sides + np.arange(sides), (rings - 1) * sides
    after = (np.arange(sides) + 1) % sides
    caps = [np.stack([0 * first + top, first, after], 1),
            np.stack([0 * first + top + 1, (rings - 2) * sides + after, last], 1)]
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1), *caps])
    return verts.astype(np.float32), faces.astype(np.int32)


def ball(x: float, colour: str) -> SplatColumns:
    """Flat Gaussians on the ball, of one colour with some noise and some dependence on the direction."""
    random = np.random.default_rng(3)
    normals = random.normal(size=(COUNT, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    half = np.stack([np.ones(COUNT), -normals[:, 1], normals[:, 0], 0 * normals[:, 0]], 1)   # turns z into the normal
    half[:, 0] += normals[:, 2]
    colours = np.array(COLOURS[colour]) + 0.1 * random.normal(size=(COUNT, 3))
    return SplatColumns(
        means=(RADIUS * normals + [x, 0, 0]).astype(np.float32),
        sh_dc=((colours - 0.5) / 0.28209479).astype(np.float32),
        sh_rest=(0.05 * random.normal(size=(COUNT, 3, 3))).astype(np.float32),
        opacities=np.full(COUNT, 3, np.float32),
        scales=np.log(np.tile([[0.02, 0.02, 0.003]], (COUNT, 1))).astype(np.float32),
        quats=half.astype(np.float32))


def run(folder: Path, device: str, should_stop):
    settings = read_request(folder).settings
    x, colour = float(settings.get("fake.x", 0.0)), settings.get("fake.colour", "red")
    verts, faces = sphere(x)
    write_splats(folder / "run" / "splats.ply", ball(x, colour))
    write_mesh(folder / "run" / "mesh.ply", verts, faces)
    (folder / "run" / "run.json").write_text('{"splat_near": 0.01}')
    yield Progress("saving", 0, 1, 0.0, COUNT, len(verts), None, None)
    yield Snapshot("final", 1, verts, faces, np.full((len(verts), 3), 128, np.uint8), None)
    yield Finished(folder / "run" / "splats.ply", folder / "run" / "mesh.ply", {}, 30.0, stopped=False)
