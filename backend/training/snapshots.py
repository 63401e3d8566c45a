# SPDX-License-Identifier: Apache-2.0
"""Meshes and pictures of a training that is still running."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from milo.backend.gaussians.model import SH_C0, Gaussians
from milo.backend.mesh.provisional import provisional_mesh
from milo.backend.mesh.region import region_of
from milo.backend.mesh.surface import compact
from milo.backend.rendering.image_metrics import compared, psnr, quantised
from milo.backend.rendering.splats import render_view
from milo.cuda_ext.neighbours import nearest

from .events import Snapshot
from .loop import Training


@torch.no_grad()
def provisional_snapshot(training: Training) -> Snapshot:
    """Mesh by depth fusion of the Gaussians as they are."""
    verts, faces = provisional_mesh(training.gaussians.splats().detach(), training.scene.train, training.scale,
                                    training.config.run.provisional_points, training.config.mesh.carve_masks)
    return _snapshot("provisional", training, verts, faces)


@torch.no_grad()
def live_snapshot(training: Training) -> Snapshot:
    """The mesh in the loop as it is."""
    surface = training.mesh.surface(training.gaussians, training.gaussians.splats().detach())
    return _snapshot("live", training, surface.verts.detach(), surface.faces)


def _snapshot(kind: str, training: Training, verts: Tensor, faces: Tensor) -> Snapshot:
    region = region_of(training.config)
    verts, faces = compact(verts, faces) if region is None else region.crop(verts, faces)
    return Snapshot(kind, training.iteration, verts.cpu().numpy().astype(np.float32),
                    faces.cpu().numpy().astype(np.int32), splat_colors(training.gaussians, verts).cpu().numpy(),
                    *preview(training))


def splat_colors(gaussians: Gaussians, verts: Tensor) -> Tensor:
    """Colours [V, 3] uint8 of points: the base colour of the nearest Gaussian (the final mesh takes the photos')."""
    if not len(verts):
        return torch.zeros(0, 3, dtype=torch.uint8)
    index = nearest(gaussians.means.detach(), verts.float().contiguous(), 1)[1][:, 0].long()
    colors = 0.5 + SH_C0 * gaussians.sh_dc.detach()[index]
    return (colors.clamp(0, 1) * 255).round().to(torch.uint8)


@torch.no_grad()
def preview(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """The Gaussians from the first training camera, and its photo, both [H, W, 3] uint8."""
    view = training.scene.train[0]
    camera = view.camera.scaled(min(1.0, training.config.run.preview_width / view.camera.width))
    photo = interpolate(view.target(training.background)[None], camera.size, mode="area")[0]
    return as_bytes(_render(training, camera)), as_bytes(photo)


@torch.no_grad()
def held_out_psnr(training: Training) -> float | None:
    """Mean PSNR of 8-bit pictures over the held-out views, dB; None if there are none."""
    scores = []
    for view in training.scene.test:
        image, target = compared(_render(training, view.camera), view, training.background,
                                 training.config.loss.masked)
        scores.append(psnr(quantised(image), target))
    return sum(scores) / len(scores) if scores else None


def _render(training: Training, camera) -> Tensor:
    return render_view(training.gaussians.splats().detach(), camera.viewmat, camera.K, camera.size,
                       training.background, near=training.scale.splat_near,
                       rasterizer=training.scale.rasterizer).image


def as_bytes(image: Tensor) -> np.ndarray:
    """[3, H, W] in [0, 1] -> [H, W, 3] uint8."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
