# SPDX-License-Identifier: Apache-2.0
"""How far a render is from its photo (spec training.md 4.1), with what masks, background and exposure make of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.config import Config
from milo.backend.data.scene import View
from milo.backend.rendering.image_metrics import compared
from milo.cuda_ext.ssim import photometric_loss, ssim

from .appearance import BLOCK, AppearanceNetwork, Exposure
from .errors import TrainingError


class PhotoLoss:
    """The photometric loss, and what it learns about the photos.

    Args:
        config: the whole configuration.
        views: training views, by uid.
        background: [3] behind renders and masked photos, unless it is drawn at random.
        generator: draws random backgrounds.
    """

    def __init__(self, config: Config, views: Sequence[View], background: Tensor, generator: torch.Generator):
        self.settings, self.rates, self.fixed, self.generator = config.loss, config.optim, background, generator
        self.photos: Exposure | AppearanceNetwork | None = None
        if self.settings.appearance != "none":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.run.seed)
                kind = Exposure if self.settings.appearance == "exposure" else AppearanceNetwork
                self.photos = kind(len(views)).to(background.device)
            self.restart()
        if self.settings.appearance == "network":
            _check_sizes(views, 2 if config.schedule.half_resolution_until else 1)

    def background(self) -> Tensor:
        """[3] colour behind the render of this iteration."""
        if not self.settings.random_background:
            return self.fixed
        return torch.rand(3, generator=self.generator).to(self.fixed.device)

    def __call__(self, image: Tensor, view: View, background: Tensor) -> Tensor:
        """The loss of a render [3, H, W] over `background` [3] of a view."""
        share = self.settings.lambda_dssim
        if isinstance(self.photos, Exposure):
            image = self.photos(image, view.uid)
        image, target = compared(image, view, background, self.settings.masked)
        if isinstance(self.photos, AppearanceNetwork):
            return (1 - share) * self.photos.distance(image, target, view.uid) + share * (1 - ssim(image, target))
        return photometric_loss(image, target, share)

    # -- what is learned about the photos ----------------------------------------------------------------------------

    def restart(self) -> None:
        """Forget the moments, as the Gaussians' optimiser does at a new start (2.6)."""
        if isinstance(self.photos, AppearanceNetwork):
            groups = [{"params": [self.photos.embedding], "lr": self.rates.appearance_embedding_lr},
                      {"params": self.photos.network.parameters(), "lr": self.rates.appearance_network_lr}]
        elif self.photos is not None:
            groups = [{"params": self.photos.parameters(), "lr": self.rates.exposure_lr}]
        else:
            return
        self.optimizer = torch.optim.Adam(groups, eps=self.rates.eps)

    def step(self) -> None:
        """Take the step of this iteration."""
        if self.photos is not None:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def state_dict(self) -> dict:
        """What is learned; empty if nothing is."""
        if self.photos is None:
            return {}
        return {"photos": self.photos.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""
        if self.photos is not None:
            self.photos.load_state_dict(state["photos"])
            self.optimizer.load_state_dict(state["optimizer"])


def _check_sizes(views: Sequence[View], shrunk: int) -> None:
    small = [view.camera for view in views if min(view.camera.size) // shrunk < BLOCK]
    if small:
        raise TrainingError(f"{small[0].name} is trained at {small[0].width // shrunk} x {small[0].height // shrunk} "
                            f"pixels; the appearance network needs {BLOCK} at least. Use loss.appearance=exposure.")
