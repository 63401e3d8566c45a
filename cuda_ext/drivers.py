# SPDX-License-Identifier: Apache-2.0
"""The kernels for a tensor: compiled ones on the CPU, those of `milo.cuda_ext.cuda` on a GPU, by the same names."""

from __future__ import annotations

from . import cuda
from .native import native


def driver(tensor):
    """The module whose kernels run where the tensor is."""
    return cuda if tensor.is_cuda else native
