# SPDX-License-Identifier: Apache-2.0
"""Our geometry rasteriser against plain PyTorch: forward and backward, the same scene, the same threads.

    python -m bench.raster
"""

from __future__ import annotations

import math

import torch

from milo.cuda_ext import splats
from milo.cuda_ext.native import native

from . import torch_raster
from .timing import median_seconds

GAUSSIANS, SIZE, THREADS = 20_000, (240, 320), 2


def scene(count=GAUSSIANS, size=SIZE, seed=0):
    """A ball of Gaussians of about a pixel and a half before a pinhole camera; the arguments of rasterize_geometry."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    means = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    means = means * torch.rand(count, 1, generator=generator) ** (1 / 3) + torch.tensor([0.0, 0.0, 3.0])
    scales = torch.exp(torch.randn(count, 3, generator=generator) * 0.5 + math.log(0.012))
    quats = torch.randn(count, 4, generator=generator)
    opacities = torch.sigmoid(2 * torch.randn(count, generator=generator))
    sh_dc, sh_rest = torch.randn(count, 3, generator=generator), 0.2 * torch.randn(count, 15, 3, generator=generator)
    focal = 1.1 * width
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    leaves = [x.requires_grad_() for x in (means, scales, quats, opacities, sh_dc, sh_rest)]
    return leaves, (torch.eye(4), K, size)


def forward_backward(rasterise, leaves, view):
    """All maps and the gradients in all inputs, of a sum that uses every map."""
    maps = rasterise(*leaves, *view, sh_degree=3)[:5]
    sum((x * x).mean() for x in maps).backward()
    gradients = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return [x.detach() for x in maps], gradients


def main():
    torch.set_num_threads(THREADS)
    native.set_num_threads(THREADS)
    leaves, view = scene()
    ours = median_seconds(lambda: forward_backward(splats.rasterize_geometry, leaves, view), 15, warm_up=True)
    plain = median_seconds(lambda: forward_backward(torch_raster.rasterize_geometry, leaves, view), 5, warm_up=True)
    height, width = SIZE
    print(f"Median of geometry raster forward + backward, {width}x{height}, {GAUSSIANS} Gaussians, {THREADS} threads")
    print(f"  {'PyTorch, tile by tile':<24}{1e3 * plain:9.1f} ms")
    print(f"  {'milo.cuda_ext kernels':<24}{1e3 * ours:9.1f} ms   {plain / ours:.1f} times faster")


if __name__ == "__main__":
    main()
