# SPDX-License-Identifier: Apache-2.0
"""Which photos are matched with which."""

from __future__ import annotations

from .options import EXHAUSTIVE_UP_TO, AlignOptions

ANCHORS = 40   # photos spread over a sequence, matched with each other so that a loop can close


def choose_pairs(count: int, options: AlignOptions) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of `count` photos in the order of their names; near ones first.

    Exhaustive: all. Sequential: `overlap` neighbours, neighbours at distances of powers of two beyond them (a turn of
    the camera's speed), and all pairs of some anchors.
    """
    sequential = options.matching == "sequential" or (options.matching == "auto" and count > EXHAUSTIVE_UP_TO)
    if not sequential:
        return sorted(((a, b) for a in range(count) for b in range(a + 1, count)), key=lambda p: (p[1] - p[0], p[0]))
    steps = set(range(1, options.overlap + 1))
    step = 2 * options.overlap
    while step <= min(count - 1, 8 * options.overlap):
        steps.add(step)
        step *= 2
    pairs = {(a, a + step) for step in steps for a in range(count - step)}
    anchors = sorted({round(i * (count - 1) / max(1, min(ANCHORS, count) - 1)) for i in range(min(ANCHORS, count))})
    pairs |= {(a, b) for a in anchors for b in anchors if a < b}
    return sorted(pairs, key=lambda p: (p[1] - p[0], p[0]))
