# SPDX-License-Identifier: Apache-2.0
"""The Gaussians of a scene: raw parameters, their activation, a set made from points (spec training.md 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from milo.backend.rendering.splats import Splats
from milo.cuda_ext.activation import activate
from milo.cuda_ext.filter3d import filter_3d
from milo.cuda_ext.neighbours import mean_sq_distance

SH_C0 = 0.5 / math.sqrt(math.pi)      # SH basis of degree 0: colour = 0.5 + SH_C0 * dc
OPTIMISED = ("means", "sh_dc", "sh_rest", "opacity_logits", "log_scales", "quats", "occupancy_shift")
CONSTANT = ("base_occupancy", "filter_3d")


class Gaussians:
    """N Gaussians with raw (unactivated) parameters. One row is one Gaussian in every tensor.

    Attributes:
        means: [N, 3] world units.
        sh_dc: [N, 3]; sh_rest: [N, (D+1)^2-1, 3] with D the stored degree.
        opacity_logits: [N].
        log_scales: [N, 3] logarithm of standard deviations in world units.
        quats: [N, 4] (w, x, y, z), any length.
        occupancy_shift: [N, 9] logits, learned; base_occupancy: [N, 9] logits, 0 = never initialised (2.7).
        filter_3d: [N] radius of the 3D smoothing filter, world units; 0 = no filter.
        sh_degree: active degree, at most the stored one.

    The tensors named in OPTIMISED are leaves that require gradients, the others are constants. A change of the set
    replaces all of them, so what has just changed has no gradient and gets no optimiser step.
    """

    def __init__(self, tensors: dict[str, Tensor], sh_degree: int = 0):
        self.sh_degree = sh_degree
        self.replace(tensors)

    @classmethod
    def from_points(cls, points: Tensor, colors: Tensor, *, opacity: float = 0.1, storage_degree: int = 0) -> Gaussians:
        """Round Gaussians as large as their neighbours are far (2.2).

        Args:
            points: [N, 3] float32 world units, N >= 1; colors: [N, 3] in [0, 1].
        """
        count, device = len(points), points.device
        spacing = mean_sq_distance(points)
        if count < 4:   # three neighbours are needed
            spacing = torch.full((count,), float((points - points.mean(0)).square().sum(1).mean()), device=device)
        quats = torch.zeros(count, 4, device=device)
        quats[:, 0] = 1
        return cls({
            "means": points.clone(),
            "sh_dc": (colors - 0.5) / SH_C0,
            "sh_rest": torch.zeros(count, (storage_degree + 1) ** 2 - 1, 3, device=device),
            "opacity_logits": torch.full((count,), math.log(opacity / (1 - opacity)), device=device),
            "log_scales": (0.5 * spacing.clamp_min(1e-7).log())[:, None].repeat(1, 3),
            "quats": quats,
            "occupancy_shift": torch.zeros(count, 9, device=device),
            "base_occupancy": torch.zeros(count, 9, device=device),
            "filter_3d": torch.zeros(count, device=device),
        })

    def __len__(self) -> int:
        return len(self.means)

    @property
    def storage_degree(self) -> int:
        """Degree of the stored spherical harmonics."""
        return math.isqrt(self.sh_rest.shape[1] + 1) - 1

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, detached, not copied."""
        return {name: getattr(self, name).detach() for name in OPTIMISED + CONSTANT}

    def replace(self, tensors: dict[str, Tensor]) -> None:
        """Take other tensors, all of them or some; optimised ones become new leaves."""
        for name, value in tensors.items():
            setattr(self, name, value.detach().requires_grad_(name in OPTIMISED))

    def select(self, rows: Tensor) -> None:
        """Become the Gaussians `rows` (indices [M] into the present ones; repeats are copies)."""
        self.replace({name: value.index_select(0, rows) for name, value in self.tensors().items()})

    def grow_sh(self, degree: int) -> None:
        """Store spherical harmonics up to `degree`, the higher ones new and zero (2.3)."""
        self.replace({"sh_rest": torch.zeros(len(self), (degree + 1) ** 2 - 1, 3, device=self.means.device)})

    def scales(self) -> Tensor:
        """Unfiltered standard deviations [N, 3], world units, without gradient."""
        return self.log_scales.detach().exp()

    def opacities(self) -> Tensor:
        """Unfiltered opacities [N] in (0, 1), without gradient."""
        return self.opacity_logits.detach().sigmoid()

    def splats(self) -> Splats:
        """The activated, filtered Gaussians that renderers draw, on the autograd graph."""
        scales, opacities = activate(self.log_scales, self.opacity_logits, self.filter_3d)
        return Splats(self.means, scales, self.quats, opacities, self.sh_dc, self.sh_rest, self.sh_degree)

    @torch.no_grad()
    def refresh_filter(self, viewmats: Tensor, Ks: Tensor, sizes: Tensor, near: float) -> None:
        """Recompute the 3D filter for these cameras: viewmats [C, 4, 4], Ks [C, 3, 3], sizes [C, 2] (h, w) (2.4)."""
        self.filter_3d = filter_3d(self.means.detach(), viewmats, Ks, sizes, near=near)
