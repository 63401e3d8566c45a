# SPDX-License-Identifier: Apache-2.0
"""What a reconstruction will take, memory and time, from the size of its photos and its configuration. Imports no
torch.

The figures of memory per Gaussian and per pivot are of runs on a GPU (docs/gpu.md), those of time of runs in
docs/benchmarks.md; how many Gaussians photos call for is a guess by those runs, so that the whole is right within a
factor of two. A backend that has finished runs of its own corrects the time by what they took.
"""

from __future__ import annotations

from typing import NamedTuple

from milo.backend.config import Config
from milo.backend.machine import GIB

CONTEXT = GIB // 2             # on a GPU: CUDA itself, and the kernels
PROCESS = 3 * GIB // 8         # else: Python and torch
GAUSSIANS_A_PIXEL = 2.5        # at their peak, before the first simplification, of the pixels of one photo
KEPT, KEPT_DENSE = 0.1, 0.8    # share of them that is left when the mesh begins
GAUSSIAN_BYTES = 1_100         # parameters, gradients, moments, and the rasteriser's lists
PIVOT_BYTES = 1_700            # tetrahedra and edges, while the table of edges is made
PIVOTS = 9                     # of a Gaussian
PIXEL_BYTES = 400              # of images, maps and their gradients, in one iteration
START_S = 7.0                  # until a worker has its libraries, kernels and photos


class Need(NamedTuple):
    """Bytes at the most, on the device of the Gaussians."""

    photos: int
    splats: int   # the phase without a mesh
    mesh: int     # the phase with one, and the extraction

    @property
    def total(self) -> int:
        """Of everything that is there at one time."""
        return self.photos + max(self.splats, self.mesh)


class Numbers(NamedTuple):
    """How many there will be."""

    peak: int     # Gaussians, before the first simplification
    kept: int     # Gaussians, when the mesh begins
    pivots: int


class Speed(NamedTuple):
    """Seconds of one iteration: fixed, per million pixels of a photo, per million Gaussians kept; then what a mesh
    adds: fixed, per million pixels, per million pivots; and by how much what happens now and then prolongs it all."""

    fixed: float
    pixels: float
    gaussians: float
    mesh_fixed: float
    mesh_pixels: float
    mesh_pivots: float
    rest: float


SPEEDS = {
    "cpu": Speed(0.0, 0.30, 0.4, 0.0, 0.45, 0.4, 1.0),             # two cores of a Zen 4
    "cuda": Speed(0.0008, 0.00075, 0.003, 0.0012, 0.0, 0.0, 1.15),    # an H200
}
CORES = 2                      # of the CPU in the table
SCALING = 0.8                  # n times the cores are n ** SCALING times as fast


def numbers(pixels: int, points: int, config: Config) -> Numbers:
    """For photos of so many pixels at most, beginning with so many points."""
    peak = max(points, int(GAUSSIANS_A_PIXEL * pixels))
    if config.model.max_gaussians:
        peak = min(peak, max(points, config.model.max_gaussians))
    kept = int(peak * (KEPT_DENSE if config.densify.dense else KEPT))
    return Numbers(peak, kept, min(PIVOTS * kept, config.mesh.max_points or PIVOTS * kept))


def memory(photo_bytes: int, pixels: int, points: int, config: Config, cuda: bool) -> Need:
    """What will be needed, of which photo_bytes for photos on the device of the Gaussians."""
    n = numbers(pixels, points, config)
    fixed = PIXEL_BYTES * pixels + (CONTEXT if cuda else PROCESS)
    return Need(photo_bytes, fixed + GAUSSIAN_BYTES * n.peak,
                fixed + GAUSSIAN_BYTES * n.kept + PIVOT_BYTES * n.pivots)


def seconds(pixels: int, points: int, config: Config, kind: str, cores: int = CORES) -> float:
    """How long training and extraction take on a device of a kind ("cpu" with so many cores, "cuda")."""
    n, speed = numbers(pixels, points, config), SPEEDS[kind]
    last, first_mesh = config.schedule.iterations, config.mesh.start_iter
    meshes = max(0, last - first_mesh + 1) / config.mesh.every + config.extract.refine_iters
    plain = speed.fixed + speed.pixels * pixels / 1e6 + speed.gaussians * n.kept / 1e6
    mesh = speed.mesh_fixed + speed.mesh_pixels * pixels / 1e6 + speed.mesh_pivots * n.pivots / 1e6
    slower = (CORES / cores) ** SCALING if kind == "cpu" else 1.0
    return slower * speed.rest * (last * plain + meshes * mesh)
