# SPDX-License-Identifier: Apache-2.0
"""Scenes of Gaussians for the rasteriser tests, and what the tests ask of a renderer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from milo.cuda_ext import gof as native_gof
from milo.cuda_ext import integration as native_integration
from milo.cuda_ext import splats as native_splats
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import gof as reference_gof
from milo.cuda_ext.reference import integration as reference_integration
from milo.cuda_ext.reference import splats as reference_splats

GAUSSIAN = ("means", "scales", "quats", "opacities")
COLOUR = ("sh_dc", "sh_rest")
DIFFERENTIABLE = (*GAUSSIAN, *COLOUR, "screen_grad")
DC = 0.28209479177387814      # colour = 0.5 + DC * sh_dc


@dataclass(frozen=True)
class Scene:
    """Gaussians and a camera. `tensors` holds the inputs of a rasteriser by name, `options` its keyword arguments."""

    tensors: dict
    viewmat: torch.Tensor
    K: torch.Tensor
    size: tuple[int, int]
    options: dict

    def to(self, dtype):
        def convert(value):
            return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

        tensors, options = ({k: convert(v) for k, v in held.items()} for held in (self.tensors, self.options))
        return Scene(tensors, convert(self.viewmat), convert(self.K), self.size, options)

    def with_tensors(self, **tensors):
        return replace(self, tensors=self.tensors | tensors)

    def with_options(self, **options):
        return replace(self, options=self.options | options)

    def rows(self, index):
        return replace(self, tensors={k: v[index] for k, v in self.tensors.items()})

    def leaves(self):
        """The same scene with every input a leaf that wants a gradient, screen_grad among them."""
        tensors = self.tensors | {"screen_grad": torch.zeros_like(self.tensors["means"])}
        return replace(self, tensors={k: v.detach().clone().requires_grad_() for k, v in tensors.items()})

    def _call(self, op, names, *allowed):
        options = {k: v for k, v in self.options.items() if k in allowed}
        if "screen_grad" in allowed and "screen_grad" in self.tensors:
            options["screen_grad"] = self.tensors["screen_grad"]
        return op(*(self.tensors[name] for name in names), self.viewmat, self.K, self.size, **options)

    def geometry(self, renderer):
        return self._call(renderer.rasterize_geometry, GAUSSIAN + COLOUR, "sh_degree", "background", "kernel_size",
                          "near", "screen_grad", "damping")  # fmt: skip

    def gof(self, renderer):
        return self._call(renderer.rasterize_gof, GAUSSIAN + COLOUR, "sh_degree", "background", "kernel_size", "near",
                          "screen_grad")  # fmt: skip

    def train(self, renderer):
        return self._call(renderer.rasterize_train, GAUSSIAN + COLOUR, "cull", "sh_degree", "background", "near",
                          "screen_grad", "damping")  # fmt: skip

    def stats(self, renderer):
        return self._call(renderer.rasterize_stats, GAUSSIAN, "cull", "near")

    def depth(self, renderer):
        return self._call(renderer.rasterize_depth, GAUSSIAN, "cull", "near")

    def opacity_at(self, points, rasterizer, renderer):
        """Of points in view space."""
        world = (points - self.viewmat[:3, 3]) @ self.viewmat[:3, :3]
        return renderer.integrate_points(
            world, *(self.tensors[name] for name in GAUSSIAN), self.viewmat, self.K, self.size, rasterizer=rasterizer
        )


def camera(fx, fy, cx, cy):
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def make_random_scene(seed, count=60, size=(40, 56), sh_degree=3, tame=False):
    """Gaussians of all kinds before a turned camera with its principal point off the centre, in float64.

    tame: none that sits on a kink of the maths (clamped at 0.99 or to the field of view, colour below 0), so that
    finite differences apply.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    depth = uniform(count, low=1.5, high=5.0)
    spread = 0.45 if tame else 0.8
    view = torch.stack([spread * depth * uniform(count, low=-1, high=1) for _ in range(2)] + [depth], 1)
    scales = torch.exp(uniform(count, 3, low=math.log(0.03), high=math.log(0.35)))
    opacities = uniform(count, low=0.05, high=0.95)
    sh_dc, sh_rest = normal(count, 3), 0.3 * normal(count, (sh_degree + 1) ** 2 - 1, 3)
    if tame:
        sh_dc, sh_rest = 0.5 * sh_dc.abs(), 0.1 * sh_rest
    else:
        kinds = torch.arange(count) % 12
        opacities[kinds == 1] = 0.999                  # clamped at 0.99 near its centre
        opacities[kinds == 2] = 0.003                  # never reaches 1/255
        scales[kinds == 3, 0] = 5e-5                   # flat
        scales[kinds == 4] *= 0.05                     # below a pixel
        scales[kinds == 5] *= 4                        # many tiles
        view[kinds == 6, 2] = 0.1                      # before the near plane
        view[kinds == 7] *= -1                         # behind the camera
        view[kinds == 8, 0] = 1.5 * depth[kinds == 8]  # far to the side, held by the lateral clamp
        scales[kinds == 8] += 0.5
    rotation, _ = torch.linalg.qr(normal(3, 3))
    rotation = rotation * rotation.det()
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, normal(3)
    height, width = size
    return Scene(
        {
            "means": (view - viewmat[:3, 3]) @ rotation,
            "scales": scales,
            "quats": normal(count, 4),
            "opacities": opacities,
            "sh_dc": sh_dc,
            "sh_rest": sh_rest,
        },
        viewmat,
        camera(0.9 * width, 1.25 * height, 0.44 * width, 0.58 * height),
        size,
        {"sh_degree": sh_degree, "background": torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)},
    )


def make_scene(means, scales, opacities, K, size, quats=None, colours=None):
    """A scene by hand before an identity camera, in float64; scales may be one number per Gaussian."""
    means, opacities = (torch.tensor(x, dtype=torch.float64) for x in (means, opacities))
    scales = torch.as_tensor(scales, dtype=torch.float64)
    count = len(means)
    if scales.dim() == 1:
        scales = scales[:, None].expand(-1, 3).clone()
    quats = torch.tensor([[1.0, 0, 0, 0]] * count if quats is None else quats, dtype=torch.float64)
    colours = torch.ones(count, 3) if colours is None else torch.tensor(colours)
    tensors = {
        "means": means.reshape(-1, 3), "scales": scales, "quats": quats.reshape(-1, 4), "opacities": opacities,
        "sh_dc": (colours.double().reshape(-1, 3) - 0.5) / DC, "sh_rest": torch.zeros(count, 0, 3, dtype=torch.float64),
    }  # fmt: skip
    return Scene(tensors, torch.eye(4, dtype=torch.float64), K, size, {})


def gradients_of(scene, rasterise, renderer, outputs, seed=0):
    """{output: {input: gradient}} of a random weighted sum of each output alone."""
    leaves = scene.leaves()
    rendered = getattr(leaves, rasterise)(renderer)
    generator = torch.Generator().manual_seed(seed)
    names = [name for name in DIFFERENTIABLE if leaves.tensors[name].numel()]
    result = {}
    for output in outputs:
        image = getattr(rendered, output)
        weights = torch.randn(image.shape, generator=generator, dtype=torch.float64).to(image.dtype)
        found = torch.autograd.grad(
            (image * weights).sum(), [leaves.tensors[n] for n in names], retain_graph=True, allow_unused=True
        )
        result[output] = {
            name: torch.zeros_like(leaves.tensors[name]) if grad is None else grad for name, grad in zip(names, found)
        }
    return result


@pytest.fixture
def random_scene():
    return make_random_scene


@pytest.fixture
def scene():
    return make_scene


@pytest.fixture
def intrinsics():
    return camera


@pytest.fixture
def gradients():
    return gradients_of


class Rasterisers:
    """The functions of some modules."""

    def __init__(self, name, *modules):
        self.__name__ = name
        self._modules = modules

    def __getattr__(self, name):
        return next(getattr(module, name) for module in self._modules if hasattr(module, name))


NATIVE = Rasterisers("native", native_splats, native_gof, native_integration)
ORACLE = Rasterisers("oracle", reference_splats, reference_gof, reference_integration)


class OnGpu:
    """The rasterisers on the GPU, for tests that hold their tensors on the CPU."""

    __name__ = "gpu"

    def __getattr__(self, name):
        rasterise = getattr(NATIVE, name)

        def moved(value):
            return value.to("cuda") if isinstance(value, torch.Tensor) else value

        def run(*args, **options):
            rendered = rasterise(*map(moved, args), **{key: moved(value) for key, value in options.items()})
            if isinstance(rendered, torch.Tensor):
                return rendered.cpu()
            return type(rendered)(*(value.cpu() for value in rendered))

        return run


RENDERERS = {"native": NATIVE, "oracle": ORACLE, "gpu": OnGpu()}


@pytest.fixture(params=["native", "oracle", pytest.param("gpu", marks=pytest.mark.gpu)])
def renderer(request):
    """The kernels and the oracle: what is known by hand must hold for all."""
    return RENDERERS[request.param]


@pytest.fixture(params=["native", pytest.param("gpu", marks=pytest.mark.gpu)])
def kernels(request):
    return RENDERERS[request.param]


@pytest.fixture
def oracle():
    return ORACLE


@pytest.fixture
def threads():
    """Set the number of threads; put back afterwards."""
    before = native.num_threads()
    yield native.set_num_threads
    native.set_num_threads(before)
