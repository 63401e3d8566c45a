# SPDX-License-Identifier: Apache-2.0
"""LPIPS v0.1 with VGG-16, where its weights are on disk (spec extraction 4.3). Nothing is ever downloaded.

Pictures go in as they are, in [0, 1], as in the tables of this field; the lpips package would stretch them to [-1, 1].
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

BACKBONE, HEADS = "vgg16-397923af.pth", "vgg.pth"   # of torchvision and of the lpips package, v0.1
LAYERS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512)
TAPS = (1, 3, 6, 9, 12)                             # convolutions after which features are compared
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class WeightsMissing(Exception):
    """The weights of LPIPS are not on this machine; the message says where they are looked for."""


class Lpips:
    """Learned perceptual distance of pictures; 0 for equal ones.

    Args:
        backbone: state of torchvision's vgg16: features.N.weight and .bias.
        heads: state of the five linear heads: linK.model.1.weight [1, C, 1, 1].
    """

    def __init__(self, backbone: dict[str, Tensor], heads: dict[str, Tensor]):
        numbers = sorted(int(key.split(".")[1]) for key in backbone if key.startswith("features.") and "weight" in key)
        self.convolutions = [(backbone[f"features.{n}.weight"], backbone[f"features.{n}.bias"]) for n in numbers]
        self.heads = [heads[f"lin{k}.model.1.weight"].reshape(-1) for k in range(len(TAPS))]

    @torch.no_grad()
    def __call__(self, image: Tensor, target: Tensor) -> float:
        """The distance of image and target, [3, H, W] in [0, 1], at least 16 pixels each way."""
        if image.shape != target.shape:
            raise ValueError(f"image is {list(image.shape)} but target {list(target.shape)}.")
        distance = 0.0
        for head, a, b in zip(self.heads, self._features(image), self._features(target)):
            squared = (F.normalize(a, dim=0, eps=1e-10) - F.normalize(b, dim=0, eps=1e-10)).square()
            distance += float((head.to(a.device)[:, None, None] * squared).sum(0).mean())
        return distance

    def _features(self, image: Tensor) -> Iterator[Tensor]:
        x = (image - image.new_tensor(SHIFT)[:, None, None]) / image.new_tensor(SCALE)[:, None, None]
        convolutions = iter(self.convolutions)
        index = 0
        for layer in LAYERS:
            if layer == "pool":
                x = F.max_pool2d(x[None], 2)[0]
                continue
            weight, bias = (tensor.to(x.device) for tensor in next(convolutions))
            x = F.relu(F.conv2d(x[None], weight, bias, padding=1)[0])
            if index in TAPS:
                yield x
            index += 1


def find_lpips(folder: Path | None = None) -> Lpips:
    """LPIPS with the weights in `folder`, $MILO_LPIPS, torch's cache or the lpips package.

    Raises:
        WeightsMissing: they are in none of them.
    """
    places = [Path(place) for place in (folder, os.environ.get("MILO_LPIPS")) if place]
    places.append(Path(torch.hub.get_dir()) / "checkpoints")
    package = importlib.util.find_spec("lpips")
    if package is not None and package.origin:
        places.append(Path(package.origin).parent / "weights" / "v0.1")
    found = {name: next((place / name for place in places if (place / name).is_file()), None)
             for name in (BACKBONE, HEADS)}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise WeightsMissing(f"LPIPS is left out: {' and '.join(missing)} are not in {', '.join(map(str, places))}. "
                             "Put torchvision's VGG-16 and the heads of lpips v0.1 into a folder and give it with "
                             "--lpips.")
    return Lpips(*(torch.load(found[name], map_location="cpu", weights_only=True) for name in (BACKBONE, HEADS)))
