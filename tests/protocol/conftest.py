# SPDX-License-Identifier: Apache-2.0
"""Random valid messages, drawn from the declarations themselves."""

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st

from milo.protocol import schema
from milo.protocol.messages import (
    MESSAGES,
    MeshSnapshot,
    Picture,
    Preview,
    PutBlob,
    RenderSplats,
    SceneFile,
    SceneFiles,
    SceneOfJob,
    StartJob,
)
from milo.protocol.photos import Alignment
from milo.protocol.stored import RestoreJob

_part = st.text("abcXYZ09_-é ", min_size=1, max_size=12).map(str.strip).filter(
    lambda s: s and s.lower() not in schema._WINDOWS_DEVICES)
_path = st.lists(_part, min_size=1, max_size=4).map("/".join)


def values(check):
    match check:
        case schema.Text(longest, pattern):
            return (st.from_regex(pattern, fullmatch=True).filter(lambda s: len(s) <= longest) if pattern
                    else st.text(st.characters(exclude_categories=["Cs"]), max_size=min(longest, 30)))
        case schema.RelativePath():
            return _path
        case schema.Choice(words):
            return st.sampled_from(words)
        case schema.Integer(low, high):
            return st.integers(low, high)
        case schema.Number(low, high):
            return st.floats(low, high)
        case schema.Flag():
            return st.booleans()
        case schema.Maybe(inner):
            return st.none() | values(inner)
        case schema.List(inner, longest, shortest):
            return st.lists(values(inner), min_size=shortest, max_size=min(longest, shortest + 4)).map(tuple)
        case schema.Map(key, value, longest):
            return st.dictionaries(values(key), values(value), max_size=min(longest, 4))
        case schema.OneOf(inner):
            return st.one_of([values(i) for i in inner])
        case schema.Alternatives(records):
            return st.one_of([records_of(r) for r in records])
        case schema.Record():
            return records_of(check)
    raise AssertionError(check)


def arrays(array):
    sizes = st.tuples(*(st.integers(0, 6) if n is None else st.just(n) for n in array.shape))

    def fill(shape):
        n = int(np.prod(shape))
        return st.binary(min_size=n, max_size=n).map(
            lambda data: np.frombuffer(data, np.uint8).reshape(shape).astype(array.dtype))
    full = sizes.flatmap(fill)
    return st.none() | full if array.optional else full


def records_of(record):
    fields = {name: values(check) for name, check in record.checks.items()}
    fields |= {name: arrays(array) for name, array in record.arrays.items()}
    return st.builds(record.cls, **fields).map(_agree)


def _agree(message):
    """Make drawn fields agree with each other where a message asks for it."""
    match message:
        case PutBlob():
            return dataclasses.replace(message, offset=0, size=len(message.data) + message.size // 2)
        case SceneFiles():
            files = {f.path.lower(): f for f in message.files}
            files = {p: f for p, f in files.items() if not any(q.startswith(p + "/") for q in files)}
            return SceneFiles(tuple(files.values()))
        case RestoreJob(files=files):
            return dataclasses.replace(message, files=(dataclasses.replace(files[0], path="splats.spz"),))
        case RenderSplats(surface="") | RenderSplats(pose=""):
            return dataclasses.replace(message, surface="", pose="", positions=None, matrices=None, others=())
        case RenderSplats(positions=positions):
            matrices = None if positions is None else np.zeros((len(positions), 4, 4), np.float32)
            return dataclasses.replace(message, matrices=matrices)
        case StartJob(scene=SceneFiles(), task=task):
            return dataclasses.replace(message, points=None, colors=None,
                                       task="align" if task == "finish" else task)
        case StartJob(scene=SceneOfJob()):
            return dataclasses.replace(message, points=None, colors=None, task="finish")
        case StartJob(points=points):
            colors = None if points is None else np.zeros((len(points), 3), np.uint8)
            return dataclasses.replace(message, task="reconstruct", colors=colors)
        case Alignment(points=points):
            return dataclasses.replace(message, colors=np.zeros((len(points), 3), np.uint8))
        case MeshSnapshot(verts=verts):
            n = max(len(verts), 1)
            verts = np.resize(verts, (n, 3)).astype(np.float32)
            return dataclasses.replace(message, verts=verts, faces=message.faces % n,
                                       colors=np.zeros((n, 3), np.uint8))
        case Preview():
            return dataclasses.replace(message, photo=message.rendering)
        case Picture():
            h, w = message.depth.shape
            h, w = max(h, 1), max(w, 1)
            return Picture(w, h, np.zeros((h, w, 4), np.uint8), np.ones((h, w), np.float32))
    return message


def same(a, b) -> bool:
    """Equality of messages, arrays by value and dtype."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a == b


@pytest.fixture(scope="session")
def equal():
    return same


@pytest.fixture(scope="session")
def any_file():
    return SceneFile("images/a.jpg", "a" * 64, 3)


@pytest.fixture(scope="session")
def any_message():
    """A strategy for every message of the protocol, by its name on the wire."""
    return {name: records_of(record) for name, record in MESSAGES.items()}
