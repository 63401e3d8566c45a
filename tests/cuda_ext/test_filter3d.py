# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import filter3d
from milo.cuda_ext.reference import filter3d as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "filter3d")


def camera(fx=100.0, cx=50.0, cy=40.0):
    return torch.tensor([[fx, 0, cx], [0, 110.0, cy], [0, 0, 1]])


def random_rig(count, seed=0):
    """Cameras around the origin, looking at it, with principal points away from the centre."""
    generator = torch.Generator().manual_seed(seed)
    viewmats, Ks = [], []
    for _ in range(count):
        rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
        viewmat = torch.eye(4)
        viewmat[:3, :3] = rotation * rotation.det()
        viewmat[:3, 3] = torch.tensor([0.0, 0.0, 4.0])
        viewmats.append(viewmat)
        shift = 40 * torch.rand(3, generator=generator)
        Ks.append(camera(80 + shift[0].item(), 30 + shift[1].item(), 20 + shift[2].item()))
    return torch.stack(viewmats), torch.stack(Ks), torch.tensor([[80, 100]] * count)


def test_matches_the_oracle():
    means = 3 * torch.randn(5000, 3, generator=torch.Generator().manual_seed(3))
    rig = random_rig(7)
    ours = filter3d.filter_3d(means, *rig)
    wanted = reference.filter_3d(means.double(), *(x.double() for x in rig[:2]), rig[2])
    flipped = (ours.double() - wanted).abs() > 1e-5 * wanted     # a mean on the border of some image
    assert flipped.sum() <= 2
    assert wanted.unique().numel() > 1000


def test_by_hand():
    means = torch.tensor([
        [0.0, 0, 2],        # centre of both cameras: nearest is 2
        [1.3, 0, 2],        # u = 115: on the border of the enlarged image, seen
        [1.31, 0, 2],       # just outside: takes the largest depth of the others
        [0, 0, 0.2],        # on the near plane: not seen
        [0, 0, 7],
    ])  # fmt: skip
    viewmats = torch.eye(4).repeat(2, 1, 1)
    viewmats[1, 2, 3] = 1.0                                     # one unit further back
    viewmats[1, 1, 3] = 1e6                                     # and looking elsewhere
    Ks = torch.stack([camera(), camera(fx=200.0)])              # the larger focal length counts, seen or not
    sizes = torch.tensor([[80, 100], [80, 100]])
    wanted = 0.2**0.5 / 200 * torch.tensor([2.0, 2.0, 7.0, 7.0, 7.0])
    torch.testing.assert_close(filter3d.filter_3d(means, viewmats, Ks, sizes), wanted)


def test_principal_point_moves_the_window():
    means = torch.tensor([[0.6, 0, 1.0], [0, 0, 3.0]])          # u = 60 + cx
    args = torch.eye(4)[None], torch.tensor([[80, 100]])
    for cx, first in ((50.0, 1.0), (60.0, 3.0)):                # 110 and 120; the border is at 115
        radii = filter3d.filter_3d(means, args[0], camera(cx=cx)[None], args[1])
        torch.testing.assert_close(radii, 0.2**0.5 / 100 * torch.tensor([first, 3.0]))


def test_nobody_seen_and_no_point():
    K, sizes = camera()[None], torch.tensor([[80, 100]])
    radius = filter3d.filter_3d(torch.tensor([[0.0, 0, -1]]), torch.eye(4)[None], K, sizes)
    assert radius.item() == pytest.approx(0.2**0.5 * 1e5 / 100)
    assert filter3d.filter_3d(torch.zeros(0, 3), torch.eye(4)[None], K, sizes).shape == (0,)


def test_errors_name_the_argument():
    K, sizes = camera()[None], torch.tensor([[80, 100]])
    with pytest.raises(ValueError, match="Ks must have shape"):
        filter3d.filter_3d(torch.zeros(1, 3), torch.eye(4).repeat(2, 1, 1), K, sizes)
    with pytest.raises(ValueError, match="sizes must be int32 or int64"):
        filter3d.filter_3d(torch.zeros(1, 3), torch.eye(4)[None], K, sizes.float())
    with pytest.raises(ValueError, match="viewmats is empty"):
        filter3d.filter_3d(torch.zeros(1, 3), torch.zeros(0, 4, 4), K, sizes)
