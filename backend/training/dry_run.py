# SPDX-License-Identifier: Apache-2.0
"""What a configuration would do and when, without a scene (spec training.md, section 6 and appendix A.13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from milo.backend.config import Config

from .schedule import Events, events, timeline

# Fields of Events that hold for many iterations -> what goes on then.
PHASES = {"half": "views of half size", "gather": "densification statistics",
          "geometry": "renders with depth and normals", "depth_normal": "depth-normal loss", "mesh": "mesh losses",
          "step": "optimiser steps"}


class Entry(NamedTuple):
    """One kind of event of a run."""

    name: str
    iterations: list[int]   # ascending; twice for what happens twice in one iteration


def phases(config: Config) -> list[Entry]:
    """What goes on for many iterations, as PHASES names it."""
    during: dict[str, list[int]] = {text: [] for text in PHASES.values()}
    for k in range(1, config.schedule.iterations + 1):
        now: Events = events(config, k)
        for field, text in PHASES.items():
            if getattr(now, field):
                during[text].append(k)
    return [Entry(text, iterations) for text, iterations in during.items()]


def entries(config: Config) -> list[Entry]:
    """The events of `schedule.timeline`, in the order of their first happening."""
    found: dict[str, list[int]] = {}
    for k, name in timeline(config):
        found.setdefault(name, []).append(k)
    return [Entry(name, iterations) for name, iterations in found.items()]


def report(config: Config) -> str:
    """A table of phases and events, one a line: what, how often, in which iterations (0 = before the first)."""
    rows = [*phases(config), *entries(config)]
    width = max(len(row.name) for row in rows)
    return "\n".join(f"{name:{width}}  {len(when):6,}  {spans(when) or 'never'}" for name, when in rows)


def spans(iterations: Iterable[int]) -> str:
    """Iterations in words: "600 to 1900 every 100, 2100 to 2900 every 100"."""
    return ", ".join(_spans(sorted(set(iterations))))


def _spans(iterations: list[int]) -> Iterator[str]:
    start = 0
    while start < len(iterations):
        end = start + 1
        step = iterations[end] - iterations[start] if end < len(iterations) else 0
        while end < len(iterations) and iterations[end] - iterations[end - 1] == step:
            end += 1
        if end - start < 3:   # two alone are no rhythm: the second may begin one
            yield str(iterations[start])
            start += 1
            continue
        yield f"{iterations[start]} to {iterations[end - 1]}" + (f" every {step}" if step > 1 else "")
        start = end
