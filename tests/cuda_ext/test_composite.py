# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import composite as ours
from milo.cuda_ext.reference import composite as oracle


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def masked_photo(height=37, width=61):
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 256, (height, width), generator=generator, dtype=torch.uint8)
    mask[:10], mask[10:20] = 0, 255
    photo = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return (photo * (mask[..., None] / 255)).byte(), mask


@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_oracle(masked):
    photo, mask = masked_photo()
    mask, background = mask if masked else None, torch.tensor([0.2, 0.5, 1.0])
    wanted = oracle.composite(photo, mask, background.double())
    torch.testing.assert_close(ours.composite(photo, mask, background).double(), wanted, rtol=0, atol=2e-7)


def test_takes_a_part_of_a_photo():
    photo, mask = masked_photo()
    part = photo[3:20, 5:30], mask[3:20, 5:30]
    wanted = ours.composite(photo, mask, torch.ones(3))[:, 3:20, 5:30]
    assert torch.equal(ours.composite(*part, torch.ones(3)), wanted)


def test_errors_name_the_argument():
    photo, mask = masked_photo()
    with pytest.raises(ValueError, match="photo must be uint8"):
        ours.composite(photo.float(), mask, torch.ones(3))
    with pytest.raises(ValueError, match=r"mask must have shape \[37, 61\]"):
        ours.composite(photo, mask[:5], torch.ones(3))
