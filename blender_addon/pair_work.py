# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing with a backend on another computer, from the pasted code to the list of backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from . import preferences
from .connection.backend import STOPPED
from .connection.endpoint import save_remote
from .connection.pairing import Pairing

if TYPE_CHECKING:
    from .session import Session


class PairWork:
    """One per session, on Blender's main thread."""

    def __init__(self, session: Session):
        self.session = session
        self._attempt: Pairing | None = None
        self._name = ""

    @property
    def address(self) -> str:
        """Of the backend that is being asked, or ""."""
        return self._attempt.address if self._attempt else ""

    def start(self, name: str, code: str, address: str) -> None:
        """Begin to pair. Without a name the backend gets that of its computer. Raises Problem."""
        self.session.problem = None
        self._name = name
        self._attempt = Pairing(code, address, self.session.backend.version, bpy.app.online_access)

    def step(self) -> bool:
        """Take a step. Returns whether more is to be expected."""
        if self._attempt is not None and self._attempt.done:
            done, self._attempt = self._attempt, None
            self.session.problem = done.problem
            if done.result is not None:
                endpoint, computer = done.result
                mine, name = preferences.get(), self._free_name(self._name or computer)
                chosen = mine.chosen
                save_remote(preferences.saved_home(name), endpoint)
                preferences.save(name)
                if self.session.backend.state != STOPPED:
                    mine.chosen = chosen
        return self._attempt is not None

    def _free_name(self, name: str) -> str:
        taken = preferences.get().saved
        numbers = (f"{name}.{i:03d}" for i in range(1, 1000))
        return name if name not in taken else next(number for number in numbers if number not in taken)
