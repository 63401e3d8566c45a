# SPDX-License-Identifier: Apache-2.0
"""What the rasterisers of Gaussians are given: the checks at their door, and tensors as their kernels take them.

Everything must be of the dtype and on the device of the means; errors are ValueErrors that name the argument.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready


def ready(*tensors: Tensor) -> list[Tensor]:
    """As the kernels take them."""
    return [kernel_ready(t) for t in tensors]


def empty_gradients(gaussians: list[Tensor], needed: tuple[bool, ...]) -> list[Tensor | None]:
    """Of the six tensors of the Gaussians and of screen_grad, the last only if it wants one: it costs extra time."""
    screen = torch.empty_like(gaussians[0]) if needed[6] else None
    return [*(torch.empty_like(t) for t in gaussians), screen]


def gradient_or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Of an output [as `like`] that may have taken no part in the loss."""
    return torch.zeros_like(like) if gradient is None else gradient.detach().contiguous()


def _check(name: str, tensor: Tensor, means: Tensor, shape) -> None:
    check_tensor(name, tensor, shape, (means.dtype,))
    if tensor.device != means.device:
        check_device(means=means, **{name: tensor})


def check_drawing(means: Tensor, scales: Tensor, quats: Tensor, opacities: Tensor, sh_dc: Tensor, sh_rest: Tensor,
                  sh_degree: int, viewmat: Tensor, K: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Everything that a coloured picture is made of; returns height and width."""
    check_gaussians(means, scales, quats, opacities)
    _check_colours(means, sh_dc, sh_rest, sh_degree)
    return check_camera(means, viewmat, K, size)


def check_gaussians(means: Tensor, scales: Tensor, quats: Tensor, opacities: Tensor) -> None:
    """Whatever is done with them."""
    check_tensor("means", means, ("N", 3), (torch.float32, torch.float64))
    n = len(means)
    _check("scales", scales, means, (n, 3))
    _check("quats", quats, means, (n, 4))
    _check("opacities", opacities, means, (n,))


def check_cull(means: Tensor, cull: Tensor | None) -> None:
    """A mask of Gaussians to leave out, or None."""
    if cull is not None:
        check_tensor("cull", cull, (len(means),), (torch.bool,))
        check_device(means=means, cull=cull)


def check_screen_grad(means: Tensor, screen_grad: Tensor | None) -> None:
    """A leaf for the gradient of the projected centres, or None."""
    if screen_grad is not None:
        _check("screen_grad", screen_grad, means, means.shape)


def _check_colours(means: Tensor, sh_dc: Tensor, sh_rest: Tensor, sh_degree: int) -> None:
    if sh_degree not in (0, 1, 2, 3):
        raise ValueError(f"sh_degree must be 0, 1, 2 or 3, not {sh_degree}.")
    _check("sh_dc", sh_dc, means, (len(means), 3))
    terms = sh_rest.shape[1] if isinstance(sh_rest, Tensor) and sh_rest.ndim == 3 else 0
    _check("sh_rest", sh_rest, means, (len(means), terms, 3))
    if terms < (sh_degree + 1) ** 2 - 1:
        raise ValueError(f"sh_rest holds {terms} coefficients; sh_degree {sh_degree} needs {(sh_degree + 1) ** 2 - 1}.")


def check_camera(means: Tensor, viewmat: Tensor, K: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Returns height and width."""
    _check("viewmat", viewmat, means, (4, 4))
    _check("K", K, means, (3, 3))
    height, width = (int(s) for s in size)
    if height < 1 or width < 1:
        raise ValueError(f"size must be (height, width), both at least 1, not {tuple(size)}.")
    return height, width


def check_background(means: Tensor, background: Tensor | None) -> Tensor:
    """The colour behind the Gaussians: black if None."""
    if background is None:
        return means.new_zeros(3)
    _check("background", background, means, (3,))
    return background
