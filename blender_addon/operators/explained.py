# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share that say why they cannot be used now, and why they have failed."""

from __future__ import annotations

from bpy.types import Context

from ..connection.problems import Problem


class Explained:
    """Base of an operator, before bpy's own."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        why_not = cls.why_not(context)
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    @classmethod
    def why_not(cls, context: Context) -> str:
        """Why it cannot be used now; empty if it can."""
        raise NotImplementedError

    def execute(self, context: Context) -> set[str]:
        try:
            self.work(context)
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}".strip())
            return {"CANCELLED"}
        return {"FINISHED"}

    def work(self, context: Context) -> None:
        """What it does. Raises Problem."""
        raise NotImplementedError
