# SPDX-License-Identifier: Apache-2.0
"""LPIPS with made-up weights, against a network put together from torch's layers (spec extraction 4.3)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from milo.backend.evaluation.lpips import BACKBONE, HEADS, Lpips, WeightsMissing, find_lpips

CHANNELS = [64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512]


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    """VGG-16's features, as torchvision lays them out, with random weights."""
    torch.manual_seed(0)
    layers, before = [], 3
    for channels in CHANNELS:
        if channels is None:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, folder / BACKBONE)
    torch.save({f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate((64, 128, 256, 512, 512))},
               folder / HEADS)
    return folder


def test_against_the_definition(network, weights):
    generator = torch.Generator().manual_seed(1)
    image, target = torch.rand(2, 3, 40, 33, generator=generator)
    heads = torch.load(weights / HEADS, weights_only=True)
    shift, scale = torch.tensor([-.030, -.088, -.188])[:, None, None], torch.tensor([.458, .448, .450])[:, None, None]
    expected, a, b = 0.0, (image - shift) / scale, (target - shift) / scale
    with torch.no_grad():
        for k, (start, end) in enumerate([(0, 4), (4, 9), (9, 16), (16, 23), (23, 30)]):
            a, b = network[start:end](a[None])[0], network[start:end](b[None])[0]
            unit_a, unit_b = (x / x.square().sum(0).sqrt().clamp_min(1e-10) for x in (a, b))
            expected += float(((unit_a - unit_b) ** 2 * heads[f"lin{k}.model.1.weight"][0]).sum(0).mean())
    assert find_lpips(weights)(image, target) == pytest.approx(expected, rel=1e-4) and expected > 0


def test_equal_pictures_are_at_distance_zero(weights):
    image = torch.rand(3, 24, 24)
    lpips = find_lpips(weights)
    assert lpips(image, image) == 0
    with pytest.raises(ValueError, match="target"):
        lpips(image, image[:, 1:])


def test_missing_weights_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("MILO_LPIPS", raising=False)
    with pytest.raises(WeightsMissing, match=r"vgg16-397923af\.pth.*--lpips"):
        find_lpips(tmp_path)


def test_the_environment_names_a_folder(weights, monkeypatch):
    monkeypatch.setenv("MILO_LPIPS", str(weights))
    assert isinstance(find_lpips(), Lpips)
