# SPDX-License-Identifier: Apache-2.0
"""What happens in which iteration: a pure function of the configuration (spec training.md 0.1, 3.7, 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from milo.backend.config import Config
from milo.backend.mesh.events import mesh_due, mesh_events


class Events(NamedTuple):
    """One iteration, in the order in which things happen."""

    half: bool          # the views of this iteration have half the resolution
    raise_sh: bool      # one more SH degree becomes active
    geometry: bool      # render with the rasteriser that gives depth and normals
    depth_normal: bool  # compare depth with normals
    mesh: bool          # mesh losses
    gather: bool        # densification statistics
    densify: bool
    drop_large: bool    # densification removes what is too large
    reset_opacity: bool
    reinit: bool        # depth re-initialisation
    clone: bool
    simplify1: bool
    simplify2: bool
    refilter: bool      # periodic refresh of the 3D filter
    step: bool          # optimiser step

    @property
    def changes_set(self) -> bool:
        """True if Gaussians come or go."""
        return self.densify or self.reinit or self.clone or self.simplify1 or self.simplify2


def events(config: Config, k: int) -> Events:
    """Events of iteration k, from 1."""
    schedule, densify = config.schedule, config.densify
    regular = densify.method == "regular"
    growing = k < densify.until_iter
    reinit = growing and k == densify.reinit_iter
    densifies = growing and k > densify.from_iter and k % densify.interval == 0 and not reinit
    faded = k % densify.opacity_reset_interval == 0 or (config.data.white_background and k == densify.from_iter)
    cloning = growing and densify.clone_from > 0 and k >= densify.clone_from and k % densify.clone_interval == 0
    periodic = k % schedule.filter_interval == 0 or k == schedule.half_resolution_until
    return Events(
        half=k <= schedule.half_resolution_until,
        raise_sh=k in schedule.sh_steps,
        geometry=regular or k >= schedule.depth_normal_from,
        depth_normal=k >= schedule.depth_normal_from,
        mesh=mesh_due(config.mesh, k),
        gather=growing,
        densify=densifies,
        drop_large=densifies and k > densify.opacity_reset_interval,
        reset_opacity=regular and growing and faded,
        reinit=reinit,
        clone=cloning and not reinit,
        simplify1=k == densify.simplify1_iter,
        simplify2=k == densify.simplify2_iter,
        refilter=config.model.mip_filter and periodic and k < schedule.iterations - schedule.filter_interval,
        step=k < schedule.iterations or schedule.step_at_end,
    )


def timeline(config: Config) -> Iterator[tuple[int, str]]:
    """Every event of a run as (iteration, name), in order; a run's own log reads the same."""
    filtered = config.model.mip_filter
    if filtered:
        yield 0, "filter"
    for k in range(1, config.schedule.iterations + 1):
        now = events(config, k)
        if now.raise_sh:
            yield k, "sh"
        if now.mesh:
            for name, happens in mesh_events(config.mesh, k)._asdict().items():
                if happens:
                    yield k, name
        for name in ("densify", "reinit", "clone", "simplify1", "simplify2"):
            if getattr(now, name):
                yield k, name
                if filtered:
                    yield from [(k, "filter")] * (2 if name == "reinit" else 1)
        if now.reset_opacity:
            yield k, "reset_opacity"
        if now.refilter:
            yield k, "filter"
        if now.step and now.changes_set:
            yield k, "skipped step"
