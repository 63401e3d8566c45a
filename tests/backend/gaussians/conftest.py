# SPDX-License-Identifier: Apache-2.0
"""Small random sets of Gaussians."""

import pytest
import torch

from milo.backend.config import OptimConfig
from milo.backend.gaussians.model import Gaussians
from milo.backend.gaussians.optimizer import SparseAdam
from milo.backend.gaussians.population import Population


@pytest.fixture
def random_population():
    def make(count: int, seed: int = 0) -> Population:
        generator = torch.Generator().manual_seed(seed)
        points = torch.rand(count, 3, generator=generator)
        gaussians = Gaussians.from_points(points, torch.rand(count, 3, generator=generator), storage_degree=1)
        gaussians.replace({"quats": torch.randn(count, 4, generator=generator)})
        return Population(gaussians, SparseAdam(gaussians, OptimConfig(), extent=1.0))

    return make
