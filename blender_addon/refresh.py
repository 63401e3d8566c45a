# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest mesh of a job onto its object: not while the user works on it, and with what lies on the old mesh."""

from __future__ import annotations

import time
from collections.abc import Callable

import bpy

from .connection.watch import Watch
from .scene import carry, mesh_object, surface

REST = 4.0  # times as long as Blender took for a refreshed mesh (modifiers, drawing) the user has it in peace


class Refresh:
    """One per session.

    Attributes:
        waiting: why the newest mesh is not shown yet, or "".
        count: meshes shown since this session began.
    """

    def __init__(self) -> None:
        self.waiting = ""
        self.count = 0
        self._transfer: carry.Transfer | None = None
        self._rests_until = 0.0

    @property
    def transferring(self) -> bool:
        """Whether what lies on an old mesh is being carried over to the next one."""
        return self._transfer is not None

    def start_anew(self) -> None:
        """For another job, or another .blend."""
        self.waiting, self._transfer = "", None

    def took(self, seconds: float) -> None:
        """Hear how long Blender was at a mesh that was just shown: with heavy modifiers the next one waits."""
        self._rests_until = time.monotonic() + REST * seconds

    def changed(self, meshes: set[str]) -> None:
        """Meshes were changed: if what lies on one of them is just being carried over, that has to begin again."""
        obj = mesh_object.find(self._transfer.mesh.job) if self._transfer else None
        if obj is not None and obj.data.name in meshes:
            self._transfer = None

    def show(self, watch: Watch, scene_of: Callable[[str], bpy.types.Scene | None], end: float) -> None:
        """Take a step towards showing a job's newest mesh. `scene_of` tells where a new object belongs; what can be
        done in slices is done until `end` by time.perf_counter()."""
        mesh = watch.mesh
        if mesh is None or (self._transfer and self._transfer.mesh.job != watch.job):
            return
        obj = mesh_object.find(watch.job)
        if obj is None:
            scene = scene_of(watch.job)
            if scene is None:
                return
            obj = mesh_object.create(watch.job, watch.info.name, scene)
        self.waiting = ""
        if self._transfer is None and mesh.kind != "final" and time.monotonic() < self._rests_until:
            return
        if self._transfer and not self._transfer.fits(obj):
            self._transfer = None
        shown = (obj.milo.sequence, obj.milo.triangles) == (mesh.seq, len(mesh.faces))
        if shown or obj.milo.frozen or obj.milo.sequence > mesh.seq:
            self._transfer = None
            return
        self.waiting = mesh_object.why_wait(obj)
        if self.waiting:
            self._transfer = None
            return
        if self._transfer is None and carry.has_to_be_carried(obj):
            self._transfer = carry.Transfer(mesh, obj)
        if self._transfer is None:
            kept = carry.take(obj), carry.Carried({})
        else:
            if not self._transfer.step(obj, end):
                return
            # if a newer mesh came meanwhile, this one is shown first: a fast backend must not keep all away
            done, self._transfer = self._transfer, None
            if done.carried is None:
                raise RuntimeError("Vertex groups could not be carried over; the console has the details.")
            mesh, kept = done.mesh, (done.old, done.carried)
        mesh_object.replace(obj, mesh.verts, mesh.faces, mesh.colors, kept)
        obj.milo.sequence, obj.milo.triangles = mesh.seq, len(mesh.faces)
        obj.milo.iteration, obj.milo.kind = mesh.iteration, mesh.kind
        if mesh.kind == "final":
            surface.write_rest(obj, watch.job, scene_of(watch.job) or bpy.context.scene)
        self.count += 1
