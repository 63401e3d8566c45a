# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.backend.config import MeshConfig
from milo.backend.mesh.loop import field_terms
from milo.backend.mesh.occupancy import occupancy_from_sdf, reset_occupancy
from milo.backend.mesh.pivots import from_pivot_order
from milo.cuda_ext.pivots import field


def test_signed_distance_of_occupancy_and_back():
    sdf = torch.linspace(-1, 1, 99, dtype=torch.float64)
    logits = torch.logit(occupancy_from_sdf(sdf)).view(11, 9)
    assert torch.allclose(from_pivot_order(field(logits, torch.zeros_like(logits))[0]), sdf.view(11, 9), atol=1e-12)


def test_moving_average_of_the_spec():
    """Appendix A.9."""
    base, shift = torch.tensor([[0.7]]), torch.tensor([[0.0]])
    shift = torch.logit(torch.tensor([[0.2]])) - base
    new_base, new_shift = reset_occupancy(base, shift, torch.tensor([[0.995]]), alpha=0.4)
    assert torch.sigmoid(new_base + new_shift).item() == pytest.approx(0.518, abs=1e-6)
    assert new_base.item() == pytest.approx(5.293305, abs=1e-4)
    assert new_shift.item() == pytest.approx(-5.221274, abs=1e-4)


def test_the_first_observation_is_taken_as_it_is():
    observed = torch.tensor([[0.005, 0.3, 0.995]])
    base, shift = reset_occupancy(torch.zeros(1, 3), torch.zeros(1, 3), observed, alpha=0.4)
    assert torch.allclose(torch.sigmoid(base), observed, atol=1e-6)
    assert shift.abs().max() < 1e-5


def test_weights_of_the_losses():
    """Centres count where Gaussians are on the surface; fewer evaluations weigh as much more."""
    base, shift = torch.full((3, 9), -5.0), torch.zeros(3, 9)
    labels, on_surface = torch.ones(27, dtype=torch.uint8), torch.tensor([True, False, True])
    config = MeshConfig(every=4, centers_weight=0.5, labels_weight=0.25)
    _, terms = field_terms(config, base, shift, labels, None, on_surface)
    _, center, label = field(base, shift, None, labels)
    assert terms["centers"].item() == pytest.approx(2 * center.item(), rel=1e-6)
    assert terms["labels"].item() == pytest.approx(label.item(), rel=1e-6)
