# SPDX-License-Identifier: Apache-2.0
"""`make bench`: every benchmark, one table each."""

import os

# Waiting threads sleep: if they spin, PyTorch's share of the figures depends on what else the machine does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from . import delaunay, raster, tets, triangles, window_stalls
from .blender.stage import Missing

for benchmark in (raster, triangles, delaunay, tets):
    benchmark.main()
try:
    window_stalls.main()
except Missing as why:
    print(f"\nStalls in a window are left out. {why}")
