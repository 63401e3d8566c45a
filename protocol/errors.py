# SPDX-License-Identifier: Apache-2.0
"""The one exception of the protocol, and the codes that travel."""

CODES = (
    "bad_message",        # not a message of this protocol
    "version_mismatch",   # the two sides speak different versions
    "unknown_job",
    "bad_request",        # a well-formed message that cannot be done
    "not_ready",          # cannot be done yet
    "no_space",           # the backend's disk is full
    "worker_died",
    "internal",
)


class ProtocolError(Exception):
    """A refusal that both sides can show: `code` (one of CODES), `message` (a sentence), `hint` (what to do, or "").

    `request_id` is the id of the refused message where it could still be read, else None.
    """

    def __init__(self, code: str, message: str, hint: str = "", request_id: int | None = None):
        if code not in CODES:
            raise ValueError(f"{code!r} is not an error code of the protocol")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.request_id = request_id


def shown(value) -> str:
    """A refused value in a sentence: short whatever came, so that a refusal costs nothing."""
    if isinstance(value, str):
        return repr(value[:60])
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"


def bad(where: str, why: str) -> ProtocolError:
    """The refusal of a value: where it stands and what is wrong with it."""
    return ProtocolError("bad_message", f"{where}: {why}")
