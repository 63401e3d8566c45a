# SPDX-License-Identifier: Apache-2.0
"""Arrays beside an envelope: a descriptor {name, dtype, shape, codec} in it, the bytes in a frame of their own.

Bytes are little-endian and C-contiguous. A descriptor is held against the message's own declaration and against the
length of the frame before anything is allocated; an uncompressed array is a read-only view of the frame.
"""

import math
import sys
import zlib
from dataclasses import dataclass

import numpy as np

from .errors import bad, shown
from .limits import MAX_ARRAY_BYTES, MAX_DIMENSIONS, MAX_INFLATED_BYTES

DTYPES = {"uint8": np.dtype("u1"), "int32": np.dtype("<i4"), "float32": np.dtype("<f4")}
CODECS = ("raw", "zlib")
_DESCRIPTOR_KEYS = {"name", "dtype", "shape", "codec"}
_ZLIB_MAX_RATIO = 1032   # what deflate can reach; more is declared by liars only


@dataclass(frozen=True, slots=True)
class Array:
    """What a message declares of one array: dtype name, and a size for each axis (None: any)."""

    dtype: str
    shape: tuple[int | None, ...]
    optional: bool = False
    max_bytes: int = MAX_ARRAY_BYTES

    def check(self, dtype: str, shape: tuple[int, ...], where: str) -> int:
        """Hold a descriptor against the declaration; the array's size in bytes."""
        if dtype != self.dtype:
            raise bad(where, f"dtype is {shown(dtype)}, {self.dtype} expected")
        if len(shape) != len(self.shape) or any(want not in (None, n) for want, n in zip(self.shape, shape)):
            expected = ", ".join("any" if n is None else str(n) for n in self.shape)
            raise bad(where, f"shape is {list(shape)}, [{expected}] expected")
        nbytes = math.prod(shape) * DTYPES[dtype].itemsize
        if nbytes > self.max_bytes:
            raise bad(where, f"{nbytes} bytes, at most {self.max_bytes} are allowed")
        return nbytes


def pack_array(name: str, declared: Array, value: np.ndarray, codec: str = "raw"):
    """The descriptor and the frame of an array. zlib is used only where it makes the frame smaller."""
    where = f"array {name}"
    if not isinstance(value, np.ndarray):
        raise bad(where, f"a numpy array is needed, not {type(value).__name__}")
    nbytes = declared.check(value.dtype.name, value.shape, where)
    little = np.ascontiguousarray(value, dtype=DTYPES[declared.dtype])
    frame = memoryview(little.reshape(-1)).cast("B") if nbytes else b""
    if codec == "zlib" and 0 < nbytes <= MAX_INFLATED_BYTES:
        small = zlib.compress(frame, 1)
        if len(small) < nbytes:
            return {"name": name, "dtype": declared.dtype, "shape": list(value.shape), "codec": "zlib"}, small
    return {"name": name, "dtype": declared.dtype, "shape": list(value.shape), "codec": "raw"}, frame


def unpack_array(descriptor, frame, declared: dict[str, Array]) -> tuple[str, np.ndarray]:
    """(name, array) from an untrusted descriptor and its frame; `declared` are the arrays the message may carry."""
    if not isinstance(descriptor, dict) or set(descriptor) != _DESCRIPTOR_KEYS:
        raise bad("arrays", "each descriptor must have exactly name, dtype, shape and codec")
    name, shape, codec = descriptor["name"], descriptor["shape"], descriptor["codec"]
    if not isinstance(name, str) or name not in declared:
        raise bad("arrays", f"this message has no array {shown(name)}")
    where = f"array {name}"
    if (not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS
            or any(type(n) is not int or not 0 <= n <= MAX_ARRAY_BYTES for n in shape)):
        raise bad(where, "shape must be a short list of sizes")
    if not isinstance(codec, str) or codec not in CODECS:
        raise bad(where, f"codec {shown(codec)} is not one of {', '.join(CODECS)}")
    nbytes = declared[name].check(descriptor["dtype"], tuple(shape), where)
    if codec == "zlib":
        frame = _inflate(frame, nbytes, where)
    elif len(frame) != nbytes:
        raise bad(where, f"{nbytes} bytes declared, the frame has {len(frame)}")
    dtype = DTYPES[declared[name].dtype]
    values = np.frombuffer(frame, dtype).reshape(shape) if nbytes else np.zeros(shape, dtype)
    if sys.byteorder == "big":
        values = values.astype(values.dtype.newbyteorder("="))
    values.flags.writeable = False
    return name, values


def _inflate(frame, nbytes: int, where: str) -> bytes:
    if nbytes > MAX_INFLATED_BYTES or nbytes > len(frame) * _ZLIB_MAX_RATIO:
        raise bad(where, f"{nbytes} bytes cannot come from a compressed frame of {len(frame)}")
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(frame, nbytes + 1)   # output grows as it comes: a short stream allocates little
    except zlib.error as error:
        raise bad(where, f"not a zlib stream ({error})") from None
    if len(data) != nbytes or not stream.eof or stream.unused_data:
        raise bad(where, f"the compressed frame does not hold exactly the {nbytes} bytes declared")
    return data
