# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.backend.config import MeshConfig
from milo.backend.mesh.loop import field_terms
from milo.backend.mesh.losses import center_loss, depth_loss, label_loss, normal_loss
from milo.backend.mesh.occupancy import occupancy_from_sdf, reset_occupancy, sdf_from_logits
from milo.backend.mesh.pivots import to_pivot_order


def test_signed_distance_of_logits():
    """Extraction spec 7.2: 0 at logit 0, -1/0.99 deep inside, and there and back again."""
    assert sdf_from_logits(torch.zeros(1)) == 0
    assert sdf_from_logits(torch.tensor([40.0])).item() == pytest.approx(-1.0101, abs=1e-4)
    sdf = torch.linspace(-1, 1, 101, dtype=torch.float64)
    assert torch.allclose(sdf_from_logits(torch.logit(occupancy_from_sdf(sdf))), sdf, atol=1e-12)
    logits = torch.linspace(-4, 4, 17, dtype=torch.float64)
    assert torch.allclose(sdf_from_logits(logits), -torch.tanh(logits / 2) / 0.99, atol=1e-12)


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


def test_label_loss_of_the_spec():
    """Appendix A.10, and the element-wise version it warns about."""
    logits = torch.tensor([2.0, -1, 0.5, -3])
    labels = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)
    assert 0.005 * label_loss(logits, labels, "parity").item() == pytest.approx(0.001539284, abs=1e-8)
    assert 0.005 * label_loss(logits, labels, "masked").item() == pytest.approx(0.001800237, abs=1e-8)


def test_centres_are_pulled_inside_only():
    logits = torch.full((2, 9), -5.0)
    logits[0, 8] = 3.0
    logits.requires_grad_()
    center_loss(logits).backward()
    assert logits.grad[1, 8] < 0
    assert logits.grad.count_nonzero() == 1


def test_image_losses_ignore_what_the_mesh_does_not_cover():
    mesh, splats = torch.zeros(4, 4), torch.full((4, 4), 2.0)
    mesh[1, 1] = 3.0
    assert depth_loss(mesh, splats, extent=2.0).item() == pytest.approx(torch.log1p(torch.tensor(0.5)).item() / 16)
    up = torch.zeros(3, 4, 4)
    up[2] = -1
    assert normal_loss(-up, up, mesh).item() == 0      # blind to the sign
    assert normal_loss(torch.zeros_like(up), up, mesh).item() == pytest.approx(1 / 16)


def test_centres_chosen_for_their_opacity_alone_are_left_alone():
    """4.4: with surface+opacity sampling the centre loss is of the surface part."""
    logits = torch.full((3, 9), -5.0, requires_grad=True)
    on_surface = torch.tensor([True, False, True])
    terms = field_terms(MeshConfig(), logits, to_pivot_order(logits), torch.ones(27, dtype=torch.uint8), on_surface)
    terms["centers"].backward()
    assert (logits.grad[:, 8] < 0).tolist() == [True, False, True]
