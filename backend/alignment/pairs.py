# SPDX-License-Identifier: Apache-2.0
"""Which photos are matched with which."""

from __future__ import annotations

from itertools import groupby

from .options import EXHAUSTIVE_UP_TO, AlignOptions

TILE = 16      # photos on each side of a step
ANCHORS = 40   # photos spread over a sequence, matched with each other so that a loop can close


def choose_pairs(count: int, options: AlignOptions) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of `count` photos in the order of their names; ascending.

    Exhaustive: all. Sequential: `overlap` neighbours, neighbours at distances of powers of two beyond them (a turn of
    the camera's speed), and all pairs of some anchors.
    """
    sequential = options.matching == "sequential" or (options.matching == "auto" and count > EXHAUSTIVE_UP_TO)
    if not sequential:
        return [(a, b) for a in range(count) for b in range(a + 1, count)]
    steps = set(range(1, options.overlap + 1))
    step = 2 * options.overlap
    while step <= min(count - 1, 8 * options.overlap):
        steps.add(step)
        step *= 2
    pairs = {(a, a + step) for step in steps for a in range(count - step)}
    anchors = sorted({round(i * (count - 1) / max(1, min(ANCHORS, count) - 1)) for i in range(min(ANCHORS, count))})
    pairs |= {(a, b) for a in anchors for b in anchors if a < b}
    return sorted(pairs)


def in_steps(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs in steps of a few photos each: the matcher prepares every photo of a step once.

    A step is a square of TILE x TILE photos, or several squares with few pairs.
    """
    steps: list[list[tuple[int, int]]] = []
    tiles = sorted(pairs, key=lambda pair: (pair[0] // TILE, pair[1] // TILE, *pair))
    for _, tile in groupby(tiles, key=lambda pair: (pair[0] // TILE, pair[1] // TILE)):
        tile = list(tile)
        if steps and len(steps[-1]) + len(tile) <= TILE * TILE:
            steps[-1] += tile
        else:
            steps.append(tile)
    return steps
