# SPDX-License-Identifier: Apache-2.0
"""Bytes of strangers: whatever comes, ProtocolError and nothing else, and no more memory than the message's size."""

import contextlib
import random
import struct
import tracemalloc
import zlib

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from milo.protocol import PROTOCOL_VERSION, ProtocolError, pack, unpack
from milo.protocol import messages as m
from milo.protocol.envelope import scan

HASH = "0" * 64


def envelope(kind="job.get", body=None, arrays=(), v=PROTOCOL_VERSION, request_id=7, **more):
    return msgpack.packb({"v": v, "id": request_id, "type": kind, "body": {} if body is None else body,
                          "arrays": list(arrays), **more})


def refused(frames, code="bad_message") -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        unpack(frames)
    assert error.value.code == code
    return error.value


def peak_bytes(frames) -> int:
    """Memory allocated at the worst moment of reading the frames, beyond what was there."""
    with contextlib.suppress(ProtocolError):
        unpack([b"\xc0"])     # imports and caches
    tracemalloc.start()
    try:
        with contextlib.suppress(ProtocolError):
            unpack(frames)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
@example([])
@example([b""] * 20)
def test_random_bytes(frames):
    with contextlib.suppress(ProtocolError):
        unpack(frames)


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**64 - 1) | st.floats() | st.text(max_size=5)
                    | st.binary(max_size=5),
                    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), v,
                                                                        max_size=4), max_leaves=20),
       st.sampled_from(sorted(m.MESSAGES)), st.sampled_from(["v", "id", "type", "body", "arrays"]))
def test_any_value_in_any_place(value, kind, key):
    head = {"v": PROTOCOL_VERSION, "id": 1, "type": kind, "body": {}, "arrays": []} | {key: value}
    with contextlib.suppress(ProtocolError):
        unpack([msgpack.packb(head)])
    record = m.MESSAGES[kind]
    for field in record.checks:
        with contextlib.suppress(ProtocolError):
            unpack([envelope(kind, {field: value})])


def test_mutated_messages(any_message):
    """Valid messages with bytes flipped, cut out, doubled and frames dropped or added."""
    rng = random.Random(5)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.sampled_from(sorted(any_message)))
    def check(data, name):
        frames = [bytes(f) for f in pack(data.draw(any_message[name]), 1, rng.choice(["raw", "zlib"]))]
        for _ in range(8):
            broken = [bytearray(f) for f in frames]
            for _ in range(rng.randint(1, 4)):
                target = rng.choice(broken)
                at = rng.randrange(len(target) + 1)
                match rng.randrange(4):
                    case 0 if target:
                        target[at - 1] ^= 1 << rng.randrange(8)
                    case 1:
                        del target[at:at + rng.randint(1, 9)]
                    case 2:
                        target[at:at] = rng.randbytes(rng.randint(1, 9))
                    case _:
                        target[at:at + 1] = bytes([rng.choice([0xDD, 0xDF, 0xDB, 0xC6, 0xC9, 0x9F, 0x8F, 0xFF])])
            if rng.random() < 0.2:
                broken.append(bytearray(rng.randbytes(9)))
            if rng.random() < 0.1:
                broken.pop()
            with contextlib.suppress(ProtocolError):
                unpack([bytes(f) for f in broken])
    check()


def bombs():
    deep = struct.pack(">BI", 0xDD, 1_000_000)
    yield "nested headers that each promise a million values", [deep * 200_000]
    yield "maps in maps", [struct.pack(">BI", 0xDF, 500_000) * 200_000]
    yield "small lists, deep", [b"\x91" * 1_000_000]
    yield "a text of 4 GB", [b"\xdb\xff\xff\xff\xff" + b"x" * 1000]
    yield "a list of four billion", [b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000]
    yield "millions of empty tables", [b"\xdd" + struct.pack(">I", 4_000_000) + b"\x80" * 4_000_000]
    body = {"job": "a", "seq": 1, "kind": "live", "iteration": 1, "triangles_full": 1}

    def verts(shape, codec):
        return envelope("mesh.snapshot", body, [{"name": "verts", "dtype": "float32", "shape": shape, "codec": codec}])
    unfolds = zlib.compress(bytes(120_000_000), 9)
    yield "a huge raw array that is not there", [verts([80_000_000, 3], "raw"), b"1234"]
    yield "a huge array that overflows 64 bits", [verts([2**62, 3], "raw"), b"1234"]
    yield "a zlib bomb declared as it is", [verts([10_000_000, 3], "zlib"), unfolds[:50_000]]
    yield "a zlib bomb declared small", [verts([1, 3], "zlib"), unfolds]
    yield "128 MB in 8 compressed bytes", [verts([11_000_000, 3], "zlib"), zlib.compress(b"")]


@pytest.mark.parametrize(("what", "frames"), list(bombs()), ids=lambda p: p if isinstance(p, str) else "")
def test_bombs_allocate_no_more_than_about_their_size(what, frames):
    """The head may be copied once; a compressed array may unfold to what it declares at most, here cut off before."""
    size = sum(map(len, frames))
    refused(frames)
    ceiling = 60_000_000 if what == "a zlib bomb declared as it is" else 2 * size + 200_000
    assert peak_bytes(frames) < ceiling


def test_a_message_of_many_values_is_bounded():
    """The worst a complete envelope can do: as many empty lists as are allowed."""
    frames = [envelope("job.get", {"job": [[] for _ in range(399_000)]})]
    refused(frames)
    assert peak_bytes(frames) < 40_000_000


def test_scan_agrees_with_msgpack():
    """The walk accepts exactly what msgpack writes of plain values."""
    @settings(max_examples=200, deadline=None)
    @given(st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**64 - 1) | st.floats()
                        | st.text(max_size=300), lambda v: st.lists(v, max_size=20) | st.dictionaries(
                            st.text(max_size=40), v, max_size=20), max_leaves=30).filter(lambda v: depth(v) < 8))
    def check(value):
        data = msgpack.packb(value)
        scan(data)
        with pytest.raises(ProtocolError):
            scan(data + b"\xc0")
        with pytest.raises(ProtocolError):
            scan(data[:-1])
    check()
    for size in (0, 31, 32, 255, 256, 65535, 65536):
        scan(msgpack.packb("x" * size))
        scan(msgpack.packb([1] * size))
        scan(msgpack.packb({str(i): i for i in range(min(size, 65536))}))


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def picture(codec, frame, **descriptor):
    described = {"name": "image", "dtype": "uint8", "shape": [2, 2, 4], "codec": codec} | descriptor
    other = {"name": "depth", "dtype": "float32", "shape": [2, 2], "codec": "raw"}
    return [envelope("picture", {"width": 2, "height": 2}, [described, other]), frame, bytes(16)]


def test_array_descriptors_are_held_against_the_message():
    assert np.array_equal(unpack(picture("raw", bytes(16)))[1].image, np.zeros((2, 2, 4)))
    unpack(picture("zlib", zlib.compress(bytes(16))))
    refused(picture("raw", bytes(15)))
    refused(picture("raw", bytes(17)))
    refused(picture("zlib", zlib.compress(bytes(15))))
    refused(picture("zlib", zlib.compress(bytes(17))))
    refused(picture("zlib", zlib.compress(bytes(16)) + b"more"))
    refused(picture("zlib", zlib.compress(bytes(16))[:-2]))
    refused(picture("zlib", b"rubbish"))
    refused(picture("bz2", bytes(16)))
    refused(picture("raw", bytes(64), dtype="float32"))
    refused(picture("raw", bytes(16), dtype="object"))
    refused(picture("raw", bytes(16), shape=[2, -2, -4]))
    refused(picture("raw", bytes(16), shape=[16]))
    refused(picture("raw", bytes(16), shape=[2, 2.0, 4]))
    refused(picture("raw", bytes(16), name="depth"))
    refused(picture("raw", bytes(16), name="other"))
    refused(picture("raw", bytes(16), extra=1))
    refused(picture("raw", bytes(16))[:-1])
    refused([*picture("raw", bytes(16)), b""])


def test_unknown_fields_and_types_are_refused():
    refused([envelope("job.get", {"job": "a", "jb": 1})])
    refused([envelope("job.get", {})])
    refused([envelope("job.fly", {"job": "a"})])
    refused([envelope("job.get", {"job": "a"}, more=1)])
    refused([envelope("job.get", {"job": b"a"})])
    refused([envelope("job.start", {"name": "a", "scene": {"kind": "other", "files": []}})])
    assert refused([envelope("job.get", {"job": 1}, request_id=42)]).request_id == 42
    assert refused([b"\xc0"]).request_id is None


def test_another_version_is_a_readable_refusal():
    error = refused([envelope("job.get", {"job": "a"}, v=1, request_id=9)], "version_mismatch")
    assert error.request_id == 9
    assert f"{PROTOCOL_VERSION} and 1" in error.message
    refused([envelope("job.get", {"job": "a"}, v="new")], "version_mismatch")


def test_the_handshake_is_read_in_every_version():
    """A newer side can say hello, and be told no: its fields that we do not know are ignored."""
    hello = unpack([envelope("hello", {"client": "x", "version": "9", "protocol": 99, "later": 1}, v=99, extra=1)])[1]
    assert hello == m.Hello("x", "9", 99)
    error = unpack([envelope("error", {"code": "version_mismatch", "message": "no", "more": []}, v=99)])[1]
    assert error.code == "version_mismatch"
