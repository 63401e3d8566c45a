# SPDX-License-Identifier: Apache-2.0
"""Acceptance checks of spec training.md, appendix B, that need a training (the list: test_training_acceptance.py)."""

import torch

from milo.backend.mesh import loop
from milo.backend.mesh.occupancy import occupancy_from_sdf
from milo.backend.mesh.pivots import from_pivot_order
from milo.backend.training.loop import Training

from .test_mesh_in_training import MESH


def test_b5_reinitialisation_takes_as_many_from_each_view(ball, short_config):
    """N becomes V floor(M / V), M being the number before anything was pruned; 6 photos here."""
    training = Training(ball, short_config(**{"densify.reinit_factor": 1.5}))
    for _ in range(15):
        training.step()
    before = len(training.gaussians)
    training.step()
    assert len(training.gaussians) == 6 * (int(1.5 * before) // 6)


def test_b6_a_reset_is_what_it_says(ball, short_config, monkeypatch):
    """Right after it the occupancy is the average to 1e-6; who carries no pivots keeps a base of 0."""
    training = Training(ball, short_config(**MESH | {"mesh.max_points": 9 * 80, "mesh.delaunay_lag": 0}))
    seen = []
    fused = loop.fused_sdf
    monkeypatch.setattr(loop, "fused_sdf", lambda *args: seen.append(fused(*args)) or seen[-1])
    for _ in range(13):
        training.step()
    gaussians, chosen = training.gaussians, training.mesh.chosen.long()
    others = torch.ones(len(gaussians), dtype=torch.bool)
    others[chosen] = False
    assert others.any() and not gaussians.base_occupancy[others].any() and not gaussians.occupancy_shift[others].any()
    observed = occupancy_from_sdf(from_pivot_order(seen[0]))
    assert torch.allclose(gaussians.base_occupancy[chosen].sigmoid(), observed, atol=1e-6)

    logits = (gaussians.base_occupancy + gaussians.occupancy_shift).detach()[chosen].clone()
    training.mesh._fuse(gaussians, gaussians.splats().detach(), training.mesh.pivots(gaussians.splats().detach()), 0.4)
    observed = occupancy_from_sdf(from_pivot_order(seen[1]))
    expected = (0.4 * observed + 0.6 * logits.sigmoid()).clamp(0.005, 0.995)
    after = (gaussians.base_occupancy + gaussians.occupancy_shift).detach()[chosen].sigmoid()
    assert torch.allclose(after, expected, atol=1e-6)
    assert not gaussians.base_occupancy[others].any()
