# SPDX-License-Identifier: Apache-2.0
"""The triangulation between iterations: rebuilt on a thread, swapped in at an iteration that the configuration fixes.

At a due iteration k the pivots are copied to the host; a thread triangulates them while training goes on with the last
triangulation; at k + lag the new one takes its place, and training waits if it is early. What a run computes thus
depends on its configuration and never on how fast a machine is. (After spec training.md, Q30.)

Nothing else has to change at the swap: signed distances and labels belong to pivots, whose number and order stay.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import torch
from torch import Tensor

from milo.cuda_ext.delaunay import Stopped, delaunay
from milo.cuda_ext.tets import TetTopology, tet_topology


class Triangulation:
    """The topology that the mesh has now, and the one in the making.

    Args:
        lag: iterations between the snapshot of the pivots and the swap; 0 triangulates on the spot. The next due
            iteration swaps in any case.
    """

    def __init__(self, lag: int = 0):
        self.lag = lag
        self.topology: TetTopology | None = None
        self.blocked_s = 0.0    # how long training has stood still for triangulations
        self._next: _Background | None = None

    def update(self, k: int, points: Tensor, due: bool) -> None:
        """Bring the topology to what iteration k uses.

        Args:
            k: iteration.
            points: [P, 3] the pivots of this iteration.
            due: triangulate these anew. Without a topology that happens in any case, and at once.

        Raises:
            ValueError: the pivots (of the iteration of the snapshot) are not finite.
        """
        start = time.perf_counter()
        points = points.detach()
        if self._next and (due or k >= self._next.swap_at):
            self._adopt(self._next.wait(), points)
            self._next = None
        if self.topology is None or (due and self.lag == 0):
            self.drop()
            self._adopt(delaunay(points), points)
        elif due:
            self._next = _Background(points, k + self.lag)
        self.blocked_s += time.perf_counter() - start

    def drop(self) -> None:
        """Forget the topology, and the one in the making."""
        self.topology = None
        self.stop()

    def stop(self) -> None:
        """Give up the triangulation in the making; its thread ends within a moment."""
        if self._next:
            self._next.stop()
            self._next = None

    def _adopt(self, tets: Tensor, points: Tensor) -> None:
        self.topology = tet_topology(tets.to(points.device), len(points))

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Tensors and numbers; the triangulation in the making is stored as the points that it is of."""
        following = {"points": self._next.host_points(), "swap_at": self._next.swap_at} if self._next else None
        return {"tets": self.topology.tets if self.topology else None, "next": following}

    def load_state_dict(self, state: dict, num_points: int) -> None:
        """Inverse of state_dict, for so many pivots."""
        self.drop()
        if state["tets"] is not None:
            self.topology = tet_topology(state["tets"], num_points)
        if state.get("next"):
            self._next = _Background(state["next"]["points"], state["next"]["swap_at"])


class _Background:
    """One triangulation on a thread of its own."""

    def __init__(self, points: Tensor, swap_at: int):
        self.swap_at = swap_at
        self._points = torch.empty(points.shape, dtype=points.dtype, pin_memory=points.is_cuda)
        self._points.copy_(points, non_blocking=True)
        self._copied = torch.cuda.Event() if points.is_cuda else None
        if self._copied:
            self._copied.record(torch.cuda.current_stream(points.device))
        self._tets: Tensor | None = None
        self._error: Exception | None = None
        self._stop = np.zeros(1, np.uint8)
        self._thread = threading.Thread(target=self._run, name="delaunay")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._tets = delaunay(self.host_points(), stop=self._stop)
        except Stopped:
            pass
        except Exception as error:   # whoever waits is told
            self._error = error

    def stop(self) -> None:
        """Give up; the thread ends within a moment."""
        self._stop[0] = 1

    def host_points(self) -> Tensor:
        """The snapshot, on the CPU."""
        if self._copied:
            self._copied.synchronize()
        return self._points

    def wait(self) -> Tensor:
        """Tetrahedra [T, 4] on the CPU; raises what the triangulation raised."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._tets
