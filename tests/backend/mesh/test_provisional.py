# SPDX-License-Identifier: Apache-2.0
import torch

from milo.backend.mesh.provisional import provisional_mesh
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats


def test_no_limit_takes_all():
    """`mesh.max_points` = 0 means no limit, as in the mesh loop."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(30, 3, generator=generator)
    splats = Splats(means, torch.full((30, 3), 0.1), torch.tensor([[1.0, 0, 0, 0]]).repeat(30, 1),
                    torch.full((30,), 0.9), torch.zeros(30, 3), torch.zeros(30, 0, 3), 0)
    scale = SceneScale(1.0, 0.05, 1e-3, float("inf"), 0.01)
    unlimited, limited = (provisional_mesh(splats, [], scale, most, carve=False) for most in (0, 9 * 30))
    assert torch.equal(unlimited[0], limited[0]) and torch.equal(unlimited[1], limited[1])
