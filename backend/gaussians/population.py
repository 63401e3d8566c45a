# SPDX-License-Identifier: Apache-2.0
"""A set of Gaussians and all that is kept per Gaussian: a change of the set moves everything at once."""

from __future__ import annotations

import torch
from torch import Tensor

from milo.cuda_ext.densify_statistics import add_render_statistics

from .model import Gaussians
from .optimizer import SparseAdam


class Statistics:
    """What an iteration tells about each Gaussian, gathered until the next densification (spec training.md 3.3, 3.5).

    Attributes:
        gradient: [N] sum of the norms of the screen-space gradients, NDC.
        absolute: [N] sum of their absolute values over pixels, where the renders tell (3.8).
        drawn: [N] how often that was.
        blurred: [N] bool: dominated more than its share of a picture since the set last changed.
        culled: [V, N] bool, or None: not worth drawing in view v.
        factor: [N] weight of a Gaussian's gradients in views that have culled ones.
    """

    def __init__(self, count: int, device: torch.device):
        self.clear(count, device)

    def clear(self, count: int, device: torch.device) -> None:
        """Start with nothing known about `count` new Gaussians."""
        self.gradient = torch.zeros(count, device=device)
        self.absolute = torch.zeros(count, device=device)
        self.drawn = torch.zeros(count, device=device)
        self.blurred = torch.zeros(count, dtype=torch.bool, device=device)
        self.factor = torch.ones(count, device=device)
        self.culled: Tensor | None = None
        self._has_culled: list[bool] = []

    def set_masks(self, culled: Tensor | None, factor: Tensor) -> None:
        """Take the culling masks [V, N] and factors [N] of a score pass."""
        self.culled, self.factor = culled, factor
        self._has_culled = [] if culled is None else culled.any(1).tolist()

    def cull(self, view: int) -> Tensor | None:
        """[N] bool: Gaussians to leave out of a training render of this view."""
        return None if self.culled is None else self.culled[view]

    def gather(self, view: int, screen_grad: Tensor, radii: Tensor, area_max: Tensor | None, blur_area: float) -> None:
        """Add one training render: screen_grad [N, 3] NDC, radii [N], area_max [N] pixels; None = a geometry render."""
        factor = self.factor if self._has_culled and self._has_culled[view] else None
        add_render_statistics(screen_grad, radii, area_max, factor, blur_area, self.gradient, self.drawn, self.absolute,
                              self.blurred)

    def mean_gradient(self) -> Tensor:
        """[N] mean norm of the screen-space gradient, NDC; 0 where never drawn."""
        return self.gradient / self.drawn.clamp_min(1)

    def mean_absolute(self) -> Tensor:
        """[N] mean over the renders of `absolute`, NDC; 0 where never drawn."""
        return self.absolute / self.drawn.clamp_min(1)

    def remap(self, rows: Tensor, appended: int) -> None:
        """Follow `Gaussians.select(rows)`. Appending forgets everyone's gradients (3.4)."""
        if self.culled is not None:
            self.set_masks(self.culled.index_select(1, rows), self.factor)
        self.factor = self.factor.index_select(0, rows)
        self.gradient = self.gradient.index_select(0, rows)
        self.absolute = self.absolute.index_select(0, rows)
        self.drawn = self.drawn.index_select(0, rows)
        if appended:
            self.gradient.zero_()
            self.absolute.zero_()
            self.drawn.zero_()
        self.blurred = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)

    def state_dict(self) -> dict:
        """Tensors by name."""
        return {"gradient": self.gradient, "absolute": self.absolute, "drawn": self.drawn, "blurred": self.blurred,
                "factor": self.factor, "culled": self.culled}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""
        self.gradient, self.absolute = state["gradient"], state["absolute"]
        self.drawn, self.blurred = state["drawn"], state["blurred"]
        self.set_masks(state["culled"], state["factor"])


class Population:
    """Gaussians, their optimiser and their statistics."""

    def __init__(self, gaussians: Gaussians, optimizer: SparseAdam):
        self.gaussians, self.optimizer = gaussians, optimizer
        self.statistics = Statistics(len(gaussians), gaussians.means.device)

    def __len__(self) -> int:
        return len(self.gaussians)

    def select(self, rows: Tensor, appended: int = 0) -> None:
        """Become the Gaussians `rows` (indices into the present ones), the last `appended` of which are new copies."""
        self.gaussians.select(rows)
        self.optimizer.remap(rows, appended)
        self.statistics.remap(rows, appended)

    def restart(self, gaussians: Gaussians) -> None:
        """Go on with other Gaussians: new optimiser, nothing known."""
        self.gaussians = gaussians
        self.optimizer.reset(gaussians)
        self.statistics.clear(len(gaussians), gaussians.means.device)
