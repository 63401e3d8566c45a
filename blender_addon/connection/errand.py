# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a thread of its own, which the main thread looks at now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..protocol import ProtocolError
from .problems import Cancelled, Problem


class Errand:
    """Begins at once. Work that can be cancelled looks at `cancelled` and raises Cancelled.

    Attributes, written by its thread:
        fraction: share of it that is done, 0..1, where the work tells.
        complete: the work was done to its end.
        result: what it returned, or None.
        problem: why it failed, or None.
    """

    def __init__(self, name: str, work: Callable[[], Any]):
        self.fraction = 0.0
        self.complete = False
        self.result: Any = None
        self.problem: Problem | None = None
        self.cancelled = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=f"milo {name}", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        self.cancelled.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self.result = self._work()
            self.complete = True
        except Cancelled:
            pass
        except Problem as problem:
            self.problem = problem
        except ProtocolError as error:
            self.problem = Problem(error.message, error.hint)
        except Exception as error:  # a defect: say so in the panel, and keep the traceback for the console
            self.problem = Problem(f"{type(error).__name__}: {error}", "This is a defect: please report it.")
            raise
