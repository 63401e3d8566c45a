# SPDX-License-Identifier: Apache-2.0
"""Monocular depth by Depth Anything V2, when `transformers` and the model's weights are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import SceneError
from .scene import View

SIDE, PATCH = 518, 14   # shorter side of the network's input and what both sides are multiples of, pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of the photos it was trained with
INSTALL = "Install it: pip install 'milo-blender[depth]'"


@torch.no_grad()
def predicted(views: Sequence[View], model: str, device: torch.device | str) -> Iterator[tuple[Tensor, str]]:
    """What the network sees in each photo: ([h, w] float32 on the CPU, "inverse" or "depth").

    Args:
        views: with their photos.
        model: a folder with config.json and model.safetensors, or the name of a model in Hugging Face's cache. Nothing
            is downloaded.
        device: where the network runs.

    Raises:
        SceneError: transformers is not installed, or the weights are not there.
    """
    network = _loaded(model).to(device).eval()
    kind = "depth" if getattr(network.config, "depth_estimation_type", "relative") == "metric" else "inverse"
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
    for view in views:
        image = view.image.to(device).permute(2, 0, 1).float() / 255
        pixels = F.interpolate(((image - mean) / std)[None], input_size(*view.camera.size), mode="bicubic")
        yield network(pixel_values=pixels).predicted_depth[0].float().cpu(), kind


def input_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) at which the network sees a photo."""
    scale = SIDE / min(height, width)
    return tuple(max(1, round(side * scale / PATCH)) * PATCH for side in (height, width))


def _loaded(model: str):
    try:
        from transformers import AutoModelForDepthEstimation
    except ImportError:
        raise SceneError(model, "monocular depth needs the package transformers", INSTALL) from None
    try:
        return AutoModelForDepthEstimation.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SceneError(model, "the weights of this depth model are not on this machine",
                         f"Give a folder with config.json and model.safetensors, or fetch it: hf download {model}"
                         ) from error
