# SPDX-License-Identifier: Apache-2.0
"""Plain iterations of training on a GPU: median times, launches and how busy the GPU is, phase by phase.

    python -m bench.iterations [SCENE] [--device cuda] [--gaussians 72910] [--calls]

Without a scene: a bumpy ball in a hall, 40 photos of 561 x 1000 pixels. Every iteration is a whole `Training.step` with
the default schedule's settings; the set of Gaussians, the triangulation and the labels stay as they are.
`--calls` adds what each kernel takes on the GPU, and the functions in which Python spends its time.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import pstats
import statistics
import time
from pathlib import Path

import torch

from milo.backend.config import load_config
from milo.backend.data.cameras import Camera
from milo.backend.data.scene import Scene, View, load_scene
from milo.backend.gaussians.model import Gaussians
from milo.backend.rendering.splats import render_geometry
from milo.backend.training.loop import Training

SIZE = (1000, 561)   # of the fox's photos: height, width
VIEWS = 40
PHASES = {"image only, half size": 1001, "geometry": 6001, "mesh": 8201}   # first iteration measured


def made_up_scene(count: int, device: str, seed: int = 0) -> Scene:
    """A bumpy ball in a hall, its photos drawn from Gaussians of random colours."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    radius = 1 + 0.1 * torch.sin(7 * direction[:, 0]) * torch.cos(9 * direction[:, 1])
    far = torch.arange(count) % 4 == 0
    radius[far] = 6 + torch.sin(3 * direction[far, 0])
    points = radius[:, None] * direction
    colors = (0.5 + 0.3 * torch.sin(5 * points) + 0.1 * torch.randn(count, 3, generator=generator)).clamp(0, 1)
    ball = Gaussians.from_points(points.to(device), colors.to(device), opacity=0.9).splats().detach()
    views = []
    for uid in range(VIEWS):
        camera = _on_a_ring(uid / VIEWS).to(device)
        with torch.no_grad():
            image = render_geometry(ball, camera).image.clamp(0, 1)
        views.append(View(camera, uid, (255 * image).byte().permute(1, 2, 0).contiguous()))
    return Scene("ball", Path(), views, [], points.double().numpy(), (255 * colors).byte().numpy())


def _on_a_ring(turn: float) -> Camera:
    angle = torch.tensor(2 * torch.pi * turn)
    eye = torch.stack([3 * angle.cos(), 3 * angle.sin(), 0.7 * (2 * angle).sin()])
    z = -eye / eye.norm()
    x = torch.linalg.cross(torch.tensor([0.0, 0.0, -1.0]), z)
    x = x / x.norm()
    rotation = torch.stack([x, torch.linalg.cross(z, x), z])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    height, width = SIZE
    K = torch.tensor([[1.3 * width, 0.0, width / 2], [0.0, 1.3 * width, height / 2], [0.0, 0.0, 1.0]])
    return Camera(viewmat, K, width, height, f"{turn:.3f}")


def settled(scene: Scene, device: str) -> Training:
    """A training whose Gaussians have all their colours and opacities, as after the second simplification."""
    config = load_config(overrides={"schedule.filter_interval": 10**6, "densify.from_iter": 3000,
                                    "densify.clone_from": 3000, "mesh.labels_interval": 10**6})
    training = Training(scene, config, device)
    gaussians = training.gaussians
    gaussians.grow_sh(3)
    gaussians.sh_degree = 3
    logits = torch.full_like(gaussians.opacity_logits, 1.5)
    gaussians.replace({"opacity_logits": logits + torch.rand_like(logits)})
    training.population.restart(gaussians)
    training._refresh_filter(half=False)
    return training


def step_times(training: Training, first: int, steps: int) -> list[float]:
    """Milliseconds of each iteration, the GPU's work included: it is waited for after every one of ten."""
    training.iteration = first - 1
    for _ in range(10):
        training.step()
    times = []
    for _ in range(steps // 10):
        _wait(training)
        start = time.perf_counter()
        for _ in range(10):
            training.step()
        _wait(training)
        times.append(100 * (time.perf_counter() - start))
    return times


def kernel_times(training: Training, steps: int = 10) -> dict[str, tuple[float, float]]:
    """{kernel: (milliseconds, launches)} of an iteration."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            training.step()
        _wait(training)
    return {event.key: (event.device_time_total / steps / 1e3, event.count / steps)
            for event in profiler.key_averages() if event.device_time_total}


def python_times(training: Training, steps: int = 50) -> str:
    """The functions in which an iteration spends its time, by cProfile (which makes them slower than they are)."""
    profiler = cProfile.Profile()
    _wait(training)
    with torch.autograd.set_multithreading_enabled(False), profiler:
        for _ in range(steps):
            training.step()
        _wait(training)
    rows = []
    for (file, line, name), (_, calls, own, total, _) in pstats.Stats(profiler).stats.items():
        where = f"{Path(file).name}:{line}" if line else ""
        rows.append((own / steps * 1e6, total / steps * 1e6, calls / steps, f"{name} {where}"))
    rows.sort(reverse=True)
    return "\n".join(f"    {own:8.1f} us own {total:8.1f} us with callees x{calls:6.1f}  {name[:90]}"
                     for own, total, calls, name in rows[:45])


def _wait(training: Training) -> None:
    if training.device.type == "cuda":
        torch.cuda.synchronize(training.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?", type=Path, help="a scene folder; its points become the Gaussians")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--gaussians", type=int, default=72_910, help="of the made-up scene")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--phases", nargs="*", choices=list(PHASES), default=list(PHASES))
    parser.add_argument("--calls", action="store_true")
    options = parser.parse_args()
    scene = load_scene(options.scene) if options.scene else made_up_scene(options.gaussians, options.device)
    training = settled(scene, options.device)
    height, width = scene.train[0].camera.size
    print(f"{scene.name}: {len(training.gaussians)} Gaussians, {len(scene.train)} views of {width} x {height}, "
          f"torch {torch.__version__}")
    for name in options.phases:
        times = step_times(training, PHASES[name], options.steps)
        median = statistics.median(times)
        print(f"{name:24s} median {median:7.3f} ms  (fastest {min(times):.3f}, slowest {max(times):.3f})", flush=True)
        kernels = kernel_times(training)   # none on the CPU
        busy, launches = (sum(column) for column in zip(*kernels.values())) if kernels else (0, 0)
        print(f"{'':24s} GPU busy {busy:.3f} ms ({100 * busy / median:.0f} %), {launches:.0f} launches and copies")
        if options.calls:
            for key, (each, count) in sorted(kernels.items(), key=lambda item: -item[1][0])[:45]:
                print(f"    {1e3 * each:8.1f} us x{count:5.1f}  {key[:100]}")
            print(python_times(training), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
