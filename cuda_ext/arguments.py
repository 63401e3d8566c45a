# SPDX-License-Identifier: Apache-2.0
"""Checks at the door of every op, so that the message names the argument and never comes from inside a kernel."""

from __future__ import annotations

import torch


def check_tensor(name, value, shape, dtypes=(torch.float32,)):
    """Raise ValueError unless `value` is a tensor of this shape and one of these dtypes, on the CPU or a CUDA GPU.

    Args:
        name: the argument's name, as the caller knows it.
        shape: sizes; a string stands for any size and names it in the message, as in ("N", 3).
        dtypes: the dtypes allowed.
    """
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a torch tensor, not {type(value).__name__}.")
    actual = value.shape
    if actual != shape and (len(actual) != len(shape) or any(
            size != length and not isinstance(size, str) for size, length in zip(shape, actual))):
        wanted = f"[{', '.join(str(size) for size in shape)}]"
        raise ValueError(f"{name} must have shape {wanted}, not {list(actual)}.")
    if value.dtype not in dtypes:
        allowed = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise ValueError(f"{name} must be {allowed}, not {str(value.dtype).removeprefix('torch.')}.")
    if not (value.is_cuda or value.is_cpu):
        raise ValueError(f"{name} is on {value.device}; this op runs on the CPU and on CUDA GPUs: move it with .cpu().")


def check_device(**tensors):
    """Raise ValueError unless all tensors are on the device of the first; names are the arguments' names."""
    (first, leader), *others = tensors.items()
    for name, tensor in others:
        if tensor.device != leader.device:
            raise ValueError(f"{name} is on {tensor.device}, but {first} is on {leader.device}: move one of them.")


def kernel_ready(tensor):
    """The tensor as kernels take it: without autograd, contiguous."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor if tensor.is_contiguous() else tensor.contiguous()
