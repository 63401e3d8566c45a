# SPDX-License-Identifier: Apache-2.0
"""The rasterisers on a GPU, at the size of a trained scene: 72.9 k Gaussians, 561 x 1000 pixels.

    python -m bench.raster_gpu
"""

from __future__ import annotations

import statistics
import time

import torch

from milo.cuda_ext import gof, splats
from milo.cuda_ext.integration import RASTERIZERS, integrate_points

GAUSSIANS, SIZE = 72_910, (1000, 561)


def scene(count=GAUSSIANS, size=SIZE, seed=0, pixels=3.5, device="cuda"):
    """Flat Gaussians scattered over a wavy surface that fills the view, a tenth of them large and far behind it.

    pixels: median of their standard deviations on the image. Returns the arguments of a rasteriser.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    height, width = size
    focal = 1.2 * width
    x, y = (uniform(count) - 0.5) * 1.1 * width / focal, (uniform(count) - 0.5) * 1.1 * height / focal
    depth = 3 + 0.5 * torch.sin(7 * x) * torch.cos(5 * y) + 0.1 * torch.randn(count, generator=generator)
    far = torch.arange(count) % 10 == 0
    depth[far] = 5 + 4 * uniform(int(far.sum()))
    means = torch.stack([x * depth, y * depth, depth], 1)
    sigma = torch.exp(0.6 * torch.randn(count, 3, generator=generator)) * (pixels / focal) * depth[:, None]
    sigma[far] *= 3
    sigma[:, 2] *= 0.1
    quats = torch.randn(count, 4, generator=generator)
    opacities = torch.sigmoid(1.5 * torch.randn(count, generator=generator) + 1)
    sh_dc, sh_rest = torch.randn(count, 3, generator=generator), 0.1 * torch.randn(count, 15, 3, generator=generator)
    leaves = [t.to(device).requires_grad_() for t in (means, sigma, quats, opacities, sh_dc, sh_rest)]
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return leaves, (torch.eye(4, device=device), K.to(device), size)


def median_ms(run, repeats=30):
    """Of device time and of the whole call until the device is done."""
    for _ in range(3):
        run()
    device, wall = [], []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        before = time.perf_counter()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        wall.append(1e3 * (time.perf_counter() - before))
        device.append(start.elapsed_time(end))
    return statistics.median(device), statistics.median(wall)


def times(rasterise, maps, leaves, view):
    """{"forward": (device, wall), "backward": ...} in ms."""
    rendered = rasterise(*leaves, *view, sh_degree=3)
    generator = torch.Generator(device=leaves[0].device).manual_seed(1)
    images = [getattr(rendered, name) for name in maps]
    weights = [torch.randn(image.shape, generator=generator, device=image.device) for image in images]

    def backward():
        torch.autograd.grad(images, leaves, weights, retain_graph=True)

    with torch.no_grad():
        forward = median_ms(lambda: rasterise(*leaves, *view, sh_degree=3))
    return {"forward": forward, "backward": median_ms(backward)}


def pivots(leaves):
    """Nine points per Gaussian, as the mesh in the loop has them: within three standard deviations."""
    means, sigma = leaves[:2]
    generator = torch.Generator(device=means.device).manual_seed(2)
    corners = torch.randn(len(means), 9, 3, generator=generator, device=means.device).sign()
    return (means[:, None] + 3 * sigma[:, None] * corners).reshape(-1, 3).contiguous()


ROWS = {
    "geometry, all maps": (splats.rasterize_geometry, ("image", "alpha", "expected_depth", "median_depth", "normal")),
    "geometry, colour": (splats.rasterize_geometry, ("image",)),
    "GOF, all maps": (gof.rasterize_gof, ("image", "alpha", "median_depth", "normal")),
    "GOF, colour": (gof.rasterize_gof, ("image",)),
    "training": (splats.rasterize_train, ("image",)),
}


def main():
    leaves, view = scene()
    print(f"{torch.cuda.get_device_name()}, {GAUSSIANS} Gaussians, {SIZE[1]}x{SIZE[0]}: ms on the device / until done")
    for name, (rasterise, maps) in ROWS.items():
        both = times(rasterise, maps, leaves, view)
        print(f"  {name:<20}" + "   ".join(f"{key} {a:6.3f} / {b:6.3f}" for key, (a, b) in both.items()))
    with torch.no_grad():
        arguments = (*leaves[:4], *view)
        print(f"  {'statistics':<20}forward {median_ms(lambda: splats.rasterize_stats(*arguments))[0]:6.3f}")
        print(f"  {'depth':<20}forward {median_ms(lambda: splats.rasterize_depth(*arguments))[0]:6.3f}")
        points = pivots(leaves)
        for name in RASTERIZERS:
            row = f"opacity of points, {name}, {len(points)} points"
            ms, _ = median_ms(lambda: integrate_points(points, *arguments, rasterizer=name))  # noqa: B023
            print(f"  {row:<50}{ms:6.3f}")


if __name__ == "__main__":
    main()
