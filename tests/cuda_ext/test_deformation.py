# SPDX-License-Identifier: Apache-2.0
"""Matrices taken apart, harmonics turned, Gaussians deformed (spec extraction_evaluation_editing.md, 3.7)."""

import pytest
import torch

from milo.cuda_ext import deformation as ours
from milo.cuda_ext.reference import deformation as oracle
from milo.cuda_ext.reference.projection import rotation_from_quaternion


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotations(count, seed=0):
    return rotation_from_quaternion(random(count, 4, seed=seed))


def with_stretches(stretches, seed=1):
    """Matrices [N, 3, 3] of these singular values, some of them reflections."""
    stretches = torch.tensor(stretches, dtype=torch.float64)
    U, V = rotations(len(stretches), seed), rotations(len(stretches), seed + 1)
    U[::2, 0] *= -1
    return (U * stretches[:, None]) @ V


MATRICES = {
    "ordinary": random(2000, 3, 3),
    "zero": torch.zeros(3, 3, 3, dtype=torch.float64),
    "identity and mirror": torch.stack([torch.eye(3), torch.diag(torch.tensor([-1.0, 1, 1])), -torch.eye(3)]).double(),
    "repeated": with_stretches([[2, 2, 2], [2, 2, 1e-3], [3, 1e-3, 1e-3]] * 20),
    "flat": with_stretches([[1, 0.5, 0], [1, 1, 1e-12], [2, 1, 1e-6]] * 20),
    "needle": with_stretches([[1, 0, 0], [1, 1e-5, 1e-5], [1, 1e-12, 1e-13]] * 20),
    "needle along an axis": torch.diag(torch.tensor([0.0, 0, 5])).double()[None],
    "needle and two equal columns": torch.tensor([[[1, 0, 0], [0, e, e], [0, 0, 0]] for e in (1e-12, 1e-18)]).double(),
    "one row": torch.tensor([[[0.0, 0, 0], [1, 2, 3], [0, 0, 0]]]).double(),
    "columns of all sizes": random(500, 3, 3) * torch.logspace(-9, 9, 3, dtype=torch.float64),
    "tiny": 1e-30 * random(100, 3, 3),
    "denormal": 1e-40 * random(100, 3, 3),
    "huge": 1e30 * random(100, 3, 3),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("signed", [False, True])
def test_decompose_gives_back_the_matrix(name, dtype, signed):
    A = MATRICES[name].to(dtype)
    sign = torch.where(torch.linalg.det(A.double() / A.double().abs().max().clamp_min(1e-300)) < 0, -1.0, 1.0)
    parts = ours.decompose(A, sign.to(dtype) if signed else None)
    A, U, S, V = (values.double() for values in (A, *parts))
    rounding = 2e-6 if dtype == torch.float32 else 1e-13
    least = 2e-45 if dtype == torch.float32 else 0          # where numbers are denormal
    size = A.abs().amax((1, 2))
    eye = torch.eye(3, dtype=torch.float64)
    for orthogonal in (U, V):
        assert (orthogonal @ orthogonal.transpose(1, 2) - eye).abs().max() < 4 * rounding
    assert (torch.linalg.det(V) > 0).all()
    assert (torch.linalg.det(U) - (sign if signed else 1)).abs().max() < 1e-5
    expected = torch.linalg.svdvals(A)
    assert (S >= 0).all()
    assert ((S.sort(descending=True).values - expected).abs() <= rounding * size[:, None] + least).all()
    # With the determinant's own sign, or +1 for all, up to the axis of the least.
    off = (U * S[:, None]) @ V.transpose(1, 2) - A
    allowed = rounding * size + least
    if not signed:
        allowed = allowed + torch.where(sign < 0, 2.001 * expected[:, 2], 0)
    assert (off.flatten(1).norm(dim=1) <= 3 * allowed).all()


def test_small_columns_stay_exact():
    """A flat Gaussian's thickness, a millionth of its width, has all its digits."""
    A = rotations(500) * torch.tensor([1.0, 0.3, 1e-6], dtype=torch.float64)
    S = ours.decompose(A.float()).S.double()
    torch.testing.assert_close(S.sort(descending=True).values, torch.tensor([[1, 0.3, 1e-6]] * 500).double(), rtol=1e-5,
                               atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_equal_the_oracle(dtype, tolerance, degree):
    sh_rest, Q = random(300, 15, 3), with_stretches([[1, 1, 1]] * 300)
    turned = ours.turn_harmonics(sh_rest.to(dtype), Q.to(dtype), degree)
    torch.testing.assert_close(turned.double(), oracle.turn_harmonics(sh_rest, Q, degree), rtol=0, atol=tolerance)
    few = sh_rest[:, : (degree + 1) ** 2 - 1].to(dtype)
    assert torch.equal(ours.turn_harmonics(few, Q.to(dtype), degree), turned[:, : few.shape[1]])


def test_harmonics_turn_one_after_the_other():
    sh_rest, first, second = random(50, 15, 3), rotations(50, 1), rotations(50, 2)
    at_once = ours.turn_harmonics(sh_rest, second @ first, 3)
    torch.testing.assert_close(ours.turn_harmonics(ours.turn_harmonics(sh_rest, first, 3), second, 3), at_once)
    torch.testing.assert_close(ours.turn_harmonics(at_once, (second @ first).transpose(1, 2), 3), sh_rest)


def test_carry_equals_the_oracle():
    count, generator = 4000, torch.Generator().manual_seed(5)
    share = torch.rand(count, 3, generator=generator)
    share[::7] = torch.tensor([1.0, 0, 0])
    share /= share.sum(1, keepdim=True)
    groups, verts = (torch.randint(200, (count, 3), generator=generator, dtype=torch.int32) for _ in range(2))
    gone, object = torch.arange(200) % 20 == 0, (torch.arange(count) % 3).int()
    opacities = 0.1 + 0.9 * torch.rand(count, generator=generator)
    args = (random(200, 3, 3), random(200, 3), share, random(count, 3), random(3, 4, 4), opacities)
    gradients, positions, _, residual, matrices, _ = (value.float() for value in args)
    result = ours.carry(gradients, gone, positions, groups, verts, share, residual, object, matrices, opacities)
    gradients, positions, weights, residual, matrices, opaque = (value.double() for value in (
        gradients, positions, share, residual, matrices, opacities))
    expected = oracle.carry(gradients, gone, positions, groups, verts, weights, residual, object, matrices, opaque)
    for mine, theirs in zip(result, expected):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=3e-5)
    assert (result.opacities == 0).sum() > 100 and torch.equal(result.opacities == 0, expected[3] == 0)


def gaussians(count):
    return (torch.exp(random(count, 3)).float(), random(count, 4, seed=1).float(),
            random(count, 15, 3, seed=2).float())


def covariances(scales, quats):
    axes = rotation_from_quaternion(quats.double()) * scales.double()[:, None]
    return axes @ axes.transpose(1, 2)


def test_reshape_equals_the_oracle():
    """Ordinary, flat, mirrored and far stretched: limits act, and flat ones turn with their object."""
    F = torch.cat([random(2000, 3, 3), with_stretches([[1, 1e-5, 1e-6], [2, 0, 0], [5, 1, 1e-7], [50, 1, 0.1]] * 50)])
    object, limits, unit = (torch.arange(2200) % 2).int(), torch.tensor([4.0, 9.0]), torch.tensor(1.7)
    whole = with_stretches([[2, 1, 0.5], [1, 3, 2]])
    F, whole = F.float(), whole.float()
    rest = gaussians(2200)
    posed = ours.reshape(F, unit, object, limits, whole, *rest, 3)
    expected, sh_rest = oracle.reshape(F.double(), unit.double(), object, limits.double(), whole.double(),
                                       *(value.double() for value in rest), 3)
    off = (covariances(posed.scales, posed.quats) - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
    needles = (torch.arange(2200) >= 2000) & (torch.arange(2200) % 4 < 2)     # float32 does not tell their other axes
    assert (off[~needles] < 1e-5).all() and (off[needles] < 1e-2).all()
    torch.testing.assert_close(posed.sh_rest.double(), sh_rest, rtol=0, atol=2e-5)
    assert torch.allclose(posed.quats.norm(dim=1), torch.ones(2200))


def test_reshape_leaves_what_is_not_deformed():
    rest, unit = gaussians(20), torch.tensor(3.0)
    F = 3 * torch.eye(3).repeat(20, 1, 1)
    F[10:] = F[10:] @ rotations(10).float()
    posed = ours.reshape(F, unit, torch.zeros(20).int(), torch.tensor([8.0]), torch.eye(3)[None], *rest, 3)
    for mine, theirs in zip(posed, rest):
        assert torch.equal(mine[:10], theirs[:10])
        assert mine is posed.scales or not torch.allclose(mine[10:], theirs[10:], atol=0.1)


def test_errors_name_the_argument():
    A = torch.zeros(4, 3, 3)
    with pytest.raises(ValueError, match=r"sign must have shape \[4\]"):
        ours.decompose(A, torch.ones(3))
    with pytest.raises(ValueError, match="Q must be float32"):
        ours.turn_harmonics(torch.zeros(4, 15, 3), A.double(), 3)
    with pytest.raises(ValueError, match="sh_rest holds 8 coefficients; degree 3 needs 15"):
        ours.turn_harmonics(torch.zeros(4, 8, 3), A, 3)
    with pytest.raises(ValueError, match="object must be int32"):
        ours.reshape(A, torch.tensor(1.0), torch.zeros(4).long(), torch.ones(1), A[:1], *gaussians(4), 3)
    assert [len(part) for part in ours.decompose(A[:0])] == [0, 0, 0]
    assert ours.turn_harmonics(torch.zeros(0, 15, 3), A[:0], 3).shape == (0, 15, 3)
