# SPDX-License-Identifier: Apache-2.0
"""What a worker tells the server: JSON, one object a line, on a pipe that carries nothing else.

The server takes nothing on trust: a line that is too long, or is not one of these words with finite values, is dropped.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import IO, Annotated, Any

from milo.protocol import ProtocolError
from milo.protocol.fields import Count, Figure, Name, Sentence
from milo.protocol.messages import MESH_KINDS
from milo.protocol.schema import Choice, Flag, Record

MAX_LINE = 65_536     # bytes


@dataclass(frozen=True, slots=True)
class Progressed:
    stage: Name
    iteration: Count = 0
    iterations: Count = 0
    loss: Figure = None
    gaussians: Count = 0
    vertices: Count = 0
    eta_s: Figure = None
    psnr: Figure = None


@dataclass(frozen=True, slots=True)
class Noted:
    """A sentence for whoever watches, and where the job is done."""
    text: Sentence
    device: Name


@dataclass(frozen=True, slots=True)
class SnapshotWritten:
    seq: Count
    mesh: Annotated[str, Choice(MESH_KINDS)]     # "kind" tells words apart
    iteration: Count
    triangles: Count


@dataclass(frozen=True, slots=True)
class Ended:
    """The reconstruction is done, or stopped after a checkpoint."""
    stopped: Annotated[bool, Flag()]
    psnr: Figure = None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The reconstruction failed with an error that says why."""
    error: Sentence
    hint: Sentence = ""


Word = Progressed | Noted | SnapshotWritten | Ended | GaveUp
_RECORDS = {record.kind: record for record in (
    Record(Progressed, "progress"), Record(Noted, "note"), Record(SnapshotWritten, "snapshot"), Record(Ended, "ended"),
    Record(GaveUp, "gave up"))}


def parse(line: bytes) -> Word | None:
    """The word of a line, None if it is none."""
    try:
        table = json.loads(line)
        return _RECORDS[table["kind"]].read(table, "word")
    except (ValueError, TypeError, KeyError, RecursionError, ProtocolError):
        return None


def say(pipe: IO[bytes], word: Word) -> None:
    """Write a word; numbers that are not finite become null. A server that is gone is no error."""
    record = next(record for record in _RECORDS.values() if type(word) is record.cls)
    table: dict[str, Any] = {"kind": record.kind}
    for name in record.checks:
        value = getattr(word, name)
        value = value.item() if hasattr(value, "item") else value      # numpy and torch scalars
        table[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    try:
        pipe.write(json.dumps(table).encode() + b"\n")
        pipe.flush()
    except (BrokenPipeError, OSError):
        pass
