# SPDX-License-Identifier: Apache-2.0
"""How long something takes on the CPU."""

from __future__ import annotations

import statistics
import time


def median_seconds(run, repeats, clock=time.perf_counter, warm_up=False):
    """Of calls of run; with warm_up one more comes first and does not count."""
    if warm_up:
        run()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return statistics.median(times)
