# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import densify_statistics as ours
from milo.cuda_ext.reference import densify_statistics as oracle

COUNT = 20_000


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def render(seed):
    generator = torch.Generator().manual_seed(seed)
    radii = torch.randint(-1, 4, (COUNT,), generator=generator, dtype=torch.int32)
    area_max = torch.randint(0, 40, (COUNT,), generator=generator, dtype=torch.int32)
    return torch.randn(COUNT, 3, generator=generator), radii, area_max, torch.rand(COUNT, generator=generator)


def nothing():
    return (*(torch.zeros(COUNT) for _ in range(3)), torch.zeros(COUNT, dtype=torch.bool))


@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_oracle_over_several_renders(geometry, weighted):
    mine, theirs = nothing(), nothing()
    for seed in range(3):
        screen_grad, radii, area_max, factor = render(seed)
        area_max, factor = None if geometry else area_max, factor if weighted else None
        ours.add_render_statistics(screen_grad, radii, area_max, factor, 31.5, *mine)
        oracle.add_render_statistics(screen_grad, radii, area_max, factor, 31.5, *theirs)
    for a, b in zip(mine, theirs):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    assert mine[3].any() != geometry and mine[2].any() == geometry


def test_errors_name_the_argument():
    screen_grad, radii, area_max, _ = render(0)
    gradient, drawn, absolute, blurred = nothing()
    with pytest.raises(ValueError, match="area_max must be int32"):
        ours.add_render_statistics(screen_grad, radii, area_max.float(), None, 1, gradient, drawn, absolute, blurred)
    with pytest.raises(ValueError, match=r"drawn must have shape \[20000\]"):
        ours.add_render_statistics(screen_grad, radii, area_max, None, 1, gradient, drawn[:3], absolute, blurred)
