# SPDX-License-Identifier: Apache-2.0
import math

import torch

from milo.backend.mesh.pivots import from_pivot_order, gaussian_pivots, to_pivot_order


def test_vector_of_the_spec():
    """Appendix A.6: a turned Gaussian, and boxes grown because one in eight was chosen."""
    half = math.sqrt(0.5)
    points, radii = gaussian_pivots(torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.1, 0.2, 0.3]]),
                                    torch.tensor([[half, 0, 0, half]]), share=0.125)
    expected = torch.tensor([[2.2, 1.4, 1.2], [2.2, 1.4, 4.8], [-0.2, 1.4, 1.2], [-0.2, 1.4, 4.8],
                             [2.2, 2.6, 1.2], [2.2, 2.6, 4.8], [-0.2, 2.6, 1.2], [-0.2, 2.6, 4.8], [1, 2, 3]])
    assert torch.allclose(points, expected, atol=1e-6)
    assert torch.allclose(radii, torch.full((9,), 1.8))


def test_an_unturned_box_reaches_three_sigma():
    points, radii = gaussian_pivots(torch.zeros(1, 3), torch.tensor([[1.0, 2, 3]]), torch.tensor([[2.0, 0, 0, 0]]))
    assert torch.equal(points[:8].abs(), torch.tensor([3.0, 6, 9]).expand(8, 3))
    assert torch.equal(radii, torch.full((9,), 9.0))


def test_corners_come_before_centres():
    means = torch.arange(15.0).view(5, 3)
    points, _ = gaussian_pivots(means, torch.full((5, 3), 0.01), torch.tensor([[1.0, 0, 0, 0]]).expand(5, 4))
    assert torch.equal(points[40:], means)
    assert torch.allclose(points[16:24].mean(0), means[2])
    values = torch.arange(45.0).view(5, 9)
    assert torch.equal(from_pivot_order(to_pivot_order(values)), values)
    assert torch.equal(to_pivot_order(values)[40:], values[:, 8])


def test_gradients_by_finite_differences():
    generator = torch.Generator().manual_seed(2)
    means, scales, quats = (torch.rand(4, n, generator=generator, dtype=torch.float64) + 0.2 for n in (3, 3, 4))
    inputs = [value.requires_grad_() for value in (means, scales, quats)]
    assert torch.autograd.gradcheck(lambda *values: gaussian_pivots(*values, share=0.5).points, inputs)
