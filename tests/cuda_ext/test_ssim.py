# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import ssim
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import ssim as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ssim")


def pair(channels, height, width, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(channels, height, width, generator=generator, dtype=torch.float64)
    image = 0.7 * target + 0.3 * torch.rand(channels, height, width, generator=generator, dtype=torch.float64)
    return image.to(dtype), target.to(dtype)


def value_and_gradient(function, image, target):
    image = image.clone().requires_grad_()
    value = function(image, target)
    value.backward()
    return value.detach(), image.grad


# Sizes: smaller than the window, one strip, several strips, a width that is no multiple of the vector length.
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 7), (3, 32, 16), (2, 33, 45), (3, 71, 50)])
@pytest.mark.parametrize("name", ["ssim", "photometric_loss"])
def test_matches_the_oracle(shape, name):
    image, target = pair(*shape)
    value, grad = value_and_gradient(getattr(ssim, name), image, target)
    wanted, wanted_grad = value_and_gradient(getattr(reference, name), image, target)
    torch.testing.assert_close(value, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(grad, wanted_grad, rtol=1e-9, atol=1e-14)

    value32, grad32 = value_and_gradient(getattr(ssim, name), image.float(), target.float())
    assert abs(value32.double() - wanted) < 1e-6
    assert (grad32.double() - wanted_grad).abs().max() < 1e-5 * wanted_grad.abs().max() + 1e-12


def test_equal_images_give_one_and_no_loss():
    image, _ = pair(3, 20, 30)
    assert ssim.ssim(image, image) == pytest.approx(1.0, abs=1e-12)
    value, grad = value_and_gradient(ssim.photometric_loss, image, image)
    assert value == pytest.approx(0.0, abs=1e-12)
    assert grad.abs().max() < 1e-10


def test_gradient_by_finite_differences():
    image, target = pair(1, 6, 7)
    assert torch.autograd.gradcheck(lambda x: ssim.photometric_loss(x, target, 0.3), image.requires_grad_())


def test_scales_the_incoming_gradient():
    image, target = pair(3, 12, 12)
    _, once = value_and_gradient(ssim.ssim, image, target)
    _, thrice = value_and_gradient(lambda x, y: 3 * ssim.ssim(x, y), image, target)
    torch.testing.assert_close(thrice, 3 * once)


@pytest.mark.parametrize("device", ["cpu"])
def test_same_bits_whatever_the_number_of_threads():
    image, target = pair(3, 97, 61, torch.float32)
    before = native.num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            results.append(value_and_gradient(ssim.photometric_loss, image, target))
    finally:
        native.set_num_threads(before)
    for value, grad in results[1:]:
        assert torch.equal(value, results[0][0]) and torch.equal(grad, results[0][1])


def test_takes_a_view_that_is_not_contiguous():
    image, target = pair(3, 10, 14)
    turned = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert not turned.is_contiguous()
    torch.testing.assert_close(ssim.ssim(turned, target), ssim.ssim(image, target))


def test_errors_name_the_argument():
    image, target = pair(3, 8, 8)
    with pytest.raises(ValueError, match="target must have shape"):
        ssim.ssim(image, target[:, :4])
    with pytest.raises(ValueError, match="target must be float64"):
        ssim.ssim(image, target.float())
    with pytest.raises(ValueError, match="image must be float32 or float64"):
        ssim.photometric_loss((image * 255).to(torch.uint8), target)
    with pytest.raises(ValueError, match="image is empty"):
        ssim.ssim(image[:, :0], target[:, :0])
