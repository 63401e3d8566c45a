# SPDX-License-Identifier: Apache-2.0
"""The splats of one reconstruction that somebody poses: what the last picture needed is kept for the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from milo.backend.data.ply import read_mesh
from milo.backend.rendering.splats import Splats
from milo.protocol import ProtocolError
from milo.protocol.surfaces import Pose, Surface

from .binding import Source
from .deform import Follower, Posed

ONE = 1     # the number of the reconstruction in Surface.src: a job is one


class LiveSplats:
    """Gaussians and the file of the mesh that was extracted with them."""

    def __init__(self, splats: Splats, mesh: Path, device: torch.device | str):
        self._splats, self._mesh, self._device = splats, mesh, device
        self._source: Source | None = None
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
            self._bound = surface, read, Follower({ONE: self._rest()}, read, arrays, self._device)
        _, rest, follower = self._bound
        arrays.check(rest)
        self._posed = (surface, pose), follower.pose(arrays)
        return self._posed[1]

    def _rest(self) -> Source:
        if self._source is None:
            if not self._mesh.is_file():
                raise ProtocolError("not_ready", "Splats follow the finished mesh, which is not there yet.",
                                    "Wait for the end of the reconstruction.")
            verts, faces, _ = read_mesh(self._mesh)
            self._source = Source.of(self._splats, verts, faces)
        return self._source
