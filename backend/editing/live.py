# SPDX-License-Identifier: Apache-2.0
"""Splats that somebody poses: what the last picture needed is kept for the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from milo.backend.data.ply import read_mesh
from milo.backend.rendering.splats import Splats
from milo.protocol import ProtocolError
from milo.protocol.surfaces import Pose, Surface

from .binding import Source
from .deform import Follower, Posed


class LiveSplats:
    """Reconstructions in the order of their numbers in Surface.src: Gaussians, and the mesh extracted with them."""

    def __init__(self, reconstructions: Sequence[tuple[Splats, Path]], device: torch.device | str):
        self._reconstructions, self._device = reconstructions, device
        self._sources: dict[int, Source] = {}
        self._bound: tuple[str, Surface, Follower] | None = None
        self._posed: tuple[tuple[str, str], Posed] | None = None

    def posed(self, surface: str, pose: str, read_surface: Callable[[], Surface], arrays: Pose | None) -> Posed:
        """The Gaussians on a surface in a pose, both known by name; `arrays` is None for the pose posed last.

        Raises:
            ProtocolError: not_ready where the mesh, the surface or the pose must come first; bad_message where surface
                and pose do not fit. ValueError: nothing of the surface belongs to the reconstruction.
        """
        if self._posed is not None and self._posed[0] == (surface, pose):
            return self._posed[1]
        if arrays is None:
            raise ProtocolError("not_ready", "This pose has not been sent.", "Send its positions and matrices.")
        if self._bound is None or self._bound[0] != surface:
            read = read_surface()
            arrays.check(read)
            self._bound = surface, read, Follower(self._rest(), read, arrays, self._device)
        _, rest, follower = self._bound
        arrays.check(rest)
        self._posed = (surface, pose), follower.pose(arrays)
        return self._posed[1]

    def _rest(self) -> dict[int, Source]:
        for number, (splats, mesh) in enumerate(self._reconstructions, 1):
            if number not in self._sources:
                if not mesh.is_file():
                    raise ProtocolError("not_ready", "Splats follow the finished mesh, which is not there yet.",
                                        "Wait for the end of the reconstruction.")
                verts, faces, _ = read_mesh(mesh)
                self._sources[number] = Source.of(splats, verts, faces)
        return self._sources
