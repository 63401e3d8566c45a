# SPDX-License-Identifier: Apache-2.0
"""Adam that only touches the Gaussians seen in this iteration (spec training.md 2.5, 2.6)."""

from __future__ import annotations

import torch
from torch import Tensor

from milo.backend.config import OptimConfig
from milo.cuda_ext.adam import Parameter, sparse_adam_steps

from .model import OPTIMISED, Gaussians


def position_lr(config: OptimConfig, k: int, extent: float) -> float:
    """Learning rate of the means at iteration k, world units: log-linear from the first to the last value."""
    t = min(k, config.position_lr_horizon) / config.position_lr_horizon
    return extent * config.position_lr_init * (config.position_lr_final / config.position_lr_init) ** t


class SparseAdam:
    """Moments and one step counter per parameter tensor.

    Rows that are not visible keep value and moments. A tensor without gradient or without elements is skipped and its
    counter stands still.
    """

    def __init__(self, gaussians: Gaussians, config: OptimConfig, extent: float):
        self.config, self.extent = config, extent
        self.rates = {"sh_dc": config.sh_dc_lr, "sh_rest": config.sh_rest_lr, "opacity_logits": config.opacity_lr,
                      "log_scales": config.scale_lr, "quats": config.quat_lr, "occupancy_shift": config.occupancy_lr}
        self.reset(gaussians)

    def reset(self, gaussians: Gaussians) -> None:
        """Forget all moments and steps."""
        self.steps = dict.fromkeys(OPTIMISED, 0)
        values = gaussians.tensors()
        self.first = {name: torch.zeros_like(values[name]) for name in OPTIMISED}
        self.second = {name: torch.zeros_like(values[name]) for name in OPTIMISED}

    def forget(self, name: str) -> None:
        """Zero the moments of one tensor."""
        self.first[name].zero_()
        self.second[name].zero_()

    def remap(self, rows: Tensor, appended: int) -> None:
        """Follow `Gaussians.select(rows)`; the last `appended` rows start with zero moments."""
        for moments in (self.first, self.second):
            for name, value in moments.items():
                moved = value.index_select(0, rows)
                if appended:
                    moved[-appended:] = 0
                moments[name] = moved

    @torch.no_grad()
    def step(self, gaussians: Gaussians, visible: Tensor, k: int) -> None:
        """One step with the gradients there are. Clears the gradients.

        Args:
            visible: [N] bool, or int32: visible where above 0.
        """
        config, parameters = self.config, []
        for name in OPTIMISED:
            value = getattr(gaussians, name)
            grad = value.grad
            if grad is None or value.numel() == 0:
                continue
            self.steps[name] += 1
            rate = position_lr(config, k, self.extent) if name == "means" else self.rates[name]
            parameters.append(Parameter(value, grad, self.first[name], self.second[name], rate, self.steps[name]))
            value.grad = None
        sparse_adam_steps(parameters, visible, config.beta1, config.beta2, config.eps)

    def state_dict(self) -> dict:
        """Steps and moments by parameter."""
        return {"steps": dict(self.steps), "first": dict(self.first), "second": dict(self.second)}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""
        self.steps, self.first, self.second = dict(state["steps"]), dict(state["first"]), dict(state["second"])
