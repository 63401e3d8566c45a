# SPDX-License-Identifier: Apache-2.0
"""The CUDA driver: the functions of the compiled CPU module, by the same names and arguments, for tensors on a GPU.

Outputs are torch tensors on that GPU where the CPU module returns numpy arrays. Importing this needs no GPU, no driver
and no compiler; the first call does.
"""

from .adam import sparse_adam_step
from .splats import GeometryFrame, TrainFrame, splat_depth, splat_stats

GeometryFrame32 = GeometryFrame64 = GeometryFrame
TrainFrame32 = TrainFrame64 = TrainFrame

__all__ = [
    "GeometryFrame32", "GeometryFrame64", "TrainFrame32", "TrainFrame64", "sparse_adam_step", "splat_depth",
    "splat_stats",
]  # fmt: skip
