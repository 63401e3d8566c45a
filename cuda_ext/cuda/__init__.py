# SPDX-License-Identifier: Apache-2.0
"""The CUDA driver: the functions of the compiled CPU module, by the same names and arguments, for tensors on a GPU.

Outputs are torch tensors on that GPU where the CPU module returns numpy arrays. Importing this needs no GPU, no driver
and no compiler; the first call does.
"""

from .adam import sparse_adam_step

__all__ = ["sparse_adam_step"]
