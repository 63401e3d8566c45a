# SPDX-License-Identifier: Apache-2.0
"""When the mesh in the loop is evaluated, and when its parts are rebuilt (spec training.md 5.10, section 6)."""

from __future__ import annotations

from typing import NamedTuple


class MeshEvents(NamedTuple):
    """What happens before the mesh of one iteration is extracted."""

    delaunay: bool
    sdf: bool
    labels: bool


def mesh_due(config, k: int) -> bool:
    """True if the mesh takes part in iteration k (config: the mesh section of the configuration)."""
    return k >= config.start_iter and (k - config.start_iter) % config.every == 0


def mesh_events(config, k: int) -> MeshEvents:
    """Events of a due iteration k. One that falls between two due iterations happens at the later of them."""
    if k == config.start_iter:
        return MeshEvents(True, True, True)
    passed = range(k - config.every + 1, k + 1)

    def falls(interval: int, before: float) -> bool:
        return any(i % interval == 0 and i < before for i in passed)

    fused = falls(config.sdf_interval, min(config.stop_iter, config.sdf_stop_iter)) and config.reset_mode == "ema"
    triangulated = falls(config.delaunay_interval, config.stop_iter)
    return MeshEvents(triangulated, fused, falls(config.labels_interval, float("inf")))
