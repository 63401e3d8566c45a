# SPDX-License-Identifier: Apache-2.0
"""A page that shows an asset beside the photos and beside the full mesh it was made of."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from milo.backend.data.scene import View
from milo.backend.evaluation.contact_sheet import Cell, contact_sheet
from milo.backend.evaluation.finished_run import FinishedRun
from milo.backend.evaluation.mesh_views import draw_colored
from milo.backend.rendering.image_metrics import compared, psnr, quantised

from .asset import Asset, draw_textured

ROWS = 2


def full_image(run: FinishedRun, view: View) -> Tensor:
    """The run's own mesh in its vertex colours (grey if it has none): [3, H, W] in [0, 1]."""
    device = run.background.device
    verts, faces = torch.from_numpy(run.verts.astype(np.float32)).to(device), torch.from_numpy(run.faces).to(device)
    colors = torch.full_like(verts, 0.5) if run.colors is None else torch.from_numpy(run.colors).to(verts) / 255
    return draw_colored(verts, faces, colors, view.camera, run.background, near=run.scale.mesh_near).image


def textured_image(run: FinishedRun, asset: Asset, view: View) -> Tensor:
    """The asset in its texture: [3, H, W] in [0, 1]."""
    return draw_textured(asset.mesh, asset.color, view.camera, run.background, near=run.scale.mesh_near)


def view_psnr(run: FinishedRun, image: Tensor, view: View) -> float:
    """PSNR of a picture of a mesh, by the protocol of `milo evaluate`."""
    return psnr(*compared(quantised(image), view, run.background, run.config.loss.masked))


def comparison(run: FinishedRun, asset: Asset) -> Image.Image:
    """Photo (splats where it is gone), full mesh and asset from a few held-out views (else training views)."""
    views = run.scene.test or run.scene.train
    chosen = [views[i * len(views) // ROWS] for i in range(min(ROWS, len(views)))]
    rows = []
    for view in chosen:
        images = [full_image(run, view), textured_image(run, asset, view)]
        rows.append([Cell(_picture(view.target(run.background)), view.camera.name),
                     *(Cell(_picture(image), f"PSNR {view_psnr(run, image, view):.2f} dB") for image in images)])
    kind = "photo" if run.has_photos else "splats: the photos are gone"
    held_out = f"{kind}, held out" if run.scene.test else kind
    side = len(asset.color)
    return contact_sheet(f"{run.scene.name}: the finished asset", [
        held_out, f"full mesh: {len(run.faces):,} triangles, vertex colours",
        f"asset: {len(asset.mesh.faces):,} triangles, texture {side} x {side}"], rows, cell_width=420)


def _picture(image: Tensor) -> np.ndarray:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
