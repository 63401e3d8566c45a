# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between Blender and a backend, each with a sentence for the panel and a hint."""


class Cancelled(Exception):
    """The user gave up while something was under way."""


class Problem(Exception):
    """`message` says what happened, `hint` what to do (or "")."""

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint


class NoBackend(Problem):
    """Nobody answers at the address."""


class WrongKey(Problem):
    """The other side is not the backend of the connection file, or it does not know us."""


class VersionMismatch(Problem):
    """The two sides speak different versions of the protocol."""


class BackendDied(Problem):
    """The connection was there and is gone, with requests under way."""


class TimedOut(Problem):
    """The backend is there but did not answer a request in time."""


class Refused(Problem):
    """The backend understood and said no; `code` is the protocol's."""

    def __init__(self, code: str, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.code = code
