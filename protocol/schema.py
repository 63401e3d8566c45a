# SPDX-License-Identifier: Apache-2.0
"""Checks of untrusted values: each one turns a wire value into a Python value (`read`) and back (`write`), or refuses.

They stand in the annotations of the messages: `job: Annotated[str, Text(40)]`. Both sides check, so that a mistake
shows where it is made.
"""

import abc
import contextlib
import dataclasses
import re
import sys
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np

from .arrays import Array
from .errors import ProtocolError, bad, shown
from .limits import MAX_PATH, MAX_PATH_PART

_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(10))}


class Check(abc.ABC):
    """A check whose wire and Python values are the same."""

    @abc.abstractmethod
    def read(self, value: Any, where: str) -> Any:
        """The value if it passes; ProtocolError, which names `where`, if not."""

    def write(self, value: Any, where: str) -> Any:
        return self.read(value.item() if isinstance(value, np.generic) else value, where)


@dataclasses.dataclass(frozen=True, slots=True)
class Text(Check):
    """A string of at most `longest` characters that fits `pattern` as a whole, where there is one."""

    longest: int
    pattern: str = ""

    def read(self, value, where):
        if type(value) is not str:
            raise bad(where, f"text expected, not {type(value).__name__}")
        if len(value) > self.longest:
            raise bad(where, f"{len(value)} characters, at most {self.longest} are allowed")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise bad(where, f"{shown(value)} does not have the form {self.pattern}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise bad(where, "text with lone surrogates cannot be sent") from None
        return value


class RelativePath(Check):
    """A relative POSIX path that stays below its folder on every system: no "..", drive, backslash or device name."""

    def read(self, value, where):
        Text(MAX_PATH).read(value, where)
        for part in value.split("/"):
            if (not part or part in (".", "..") or len(part) > MAX_PATH_PART or part != part.rstrip(". ")
                    or re.search(r'[\\:*?"<>|\x00-\x1f\x7f]', part) or part.split(".")[0].lower() in _WINDOWS_DEVICES):
                raise bad(where, f"{shown(value)} is not a plain relative path with forward slashes")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Choice(Check):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, value, where):
        if type(value) is not str or value not in self.words:
            raise bad(where, f"{shown(value)} is not one of {', '.join(self.words)}")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Integer(Check):
    low: int
    high: int

    def read(self, value, where):
        if type(value) is not int or not self.low <= value <= self.high:
            raise bad(where, f"{shown(value)} is not a whole number from {self.low} to {self.high}")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Number(Check):
    """A finite number; read as float."""

    low: float = -sys.float_info.max
    high: float = sys.float_info.max

    def read(self, value, where):
        if type(value) not in (int, float) or not self.low <= value <= self.high:   # NaN fails both comparisons
            raise bad(where, f"{shown(value)} is not a finite number from {self.low:g} to {self.high:g}")
        return float(value)


class Flag(Check):
    def read(self, value, where):
        if type(value) is not bool:
            raise bad(where, f"true or false expected, not {type(value).__name__}")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Maybe(Check):
    """The inner check, or None."""

    inner: Check

    def read(self, value, where):
        return None if value is None else self.inner.read(value, where)

    def write(self, value, where):
        return None if value is None else self.inner.write(value, where)


@dataclasses.dataclass(frozen=True, slots=True)
class List(Check):
    """A list on the wire, a tuple in Python, of `shortest` to `longest` values."""

    inner: Check
    longest: int
    shortest: int = 0

    def read(self, value, where):
        return tuple(self.inner.read(v, f"{where}[{i}]") for i, v in enumerate(self._sized(value, where)))

    def write(self, value, where):
        if isinstance(value, np.ndarray):
            value = value.ravel().tolist()
        return [self.inner.write(v, f"{where}[{i}]") for i, v in enumerate(self._sized(value, where))]

    def _sized(self, value, where):
        if not isinstance(value, list | tuple):
            raise bad(where, f"a list expected, not {type(value).__name__}")
        if not self.shortest <= len(value) <= self.longest:
            raise bad(where, f"{len(value)} values, {self.shortest} to {self.longest} are allowed")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Map(Check):
    """A dictionary of at most `longest` entries."""

    key: Check
    value: Check
    longest: int

    def read(self, value, where):
        return self._each(value, where, self.value.read)

    def write(self, value, where):
        return self._each(value, where, self.value.write)

    def _each(self, value, where, convert):
        if not isinstance(value, dict):
            raise bad(where, f"a table expected, not {type(value).__name__}")
        if len(value) > self.longest:
            raise bad(where, f"{len(value)} entries, at most {self.longest} are allowed")
        return {self.key.read(k, f"a key of {where}"): convert(v, f"{where}[{shown(k)}]")
                for k, v in value.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class OneOf(Check):
    """The first inner check that takes the value; for plain values only."""

    inner: tuple[Check, ...]
    expected: str

    def read(self, value, where):
        for check in self.inner:
            with contextlib.suppress(ProtocolError):
                return check.read(value, where)
        raise bad(where, f"{shown(value)} is not {self.expected}")

    def write(self, value, where):
        if isinstance(value, np.generic):
            value = value.item()
        value = self.read(value, where)
        return list(value) if isinstance(value, tuple) else value


class Record(Check):
    """A frozen dataclass whose fields carry checks; a table on the wire.

    `kind` adds a field "kind" with that word, to tell alternatives apart. Unknown fields are refused, because a
    misspelt setting must not be dropped silently; `open` ignores them, for messages that other versions must read.
    """

    def __init__(self, cls: type, kind: str = "", open: bool = False):
        self.cls, self.kind, self.open = cls, kind, open
        self.checks: dict[str, Check] = {}
        self.arrays: dict[str, Array] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            check = get_args(hint)[1] if get_origin(hint) is Annotated else None
            if isinstance(check, Array):
                self.arrays[name] = check
            elif isinstance(check, Check):
                self.checks[name] = check
            else:
                raise TypeError(f"{cls.__name__}.{name} has no check")
        no_default = dataclasses.MISSING
        self.required = {f.name for f in dataclasses.fields(cls)
                         if f.name in self.checks and f.default is no_default and f.default_factory is no_default}

    def fields(self, value: Any, where: str) -> dict[str, Any]:
        """The checked fields of a wire table, as keyword arguments of the dataclass."""
        if not isinstance(value, dict):
            raise bad(where, f"a table expected, not {type(value).__name__}")
        if self.kind and value.get("kind") != self.kind:
            raise bad(f"{where}.kind", f"{self.kind!r} expected")
        unknown = [] if self.open else [k for k in value if k not in self.checks and not (self.kind and k == "kind")]
        if unknown:
            raise bad(where, f"has no field {shown(unknown[0])}")
        missing = self.required - set(value)
        if missing:
            raise bad(where, f"the field {min(missing)!r} is missing")
        return {name: check.read(value[name], f"{where}.{name}")
                for name, check in self.checks.items() if name in value}

    def read(self, value, where):
        return self.cls(**self.fields(value, where))

    def write(self, value, where):
        if type(value) is not self.cls:
            raise bad(where, f"{self.cls.__name__} expected, not {type(value).__name__}")
        table = {name: check.write(getattr(value, name), f"{where}.{name}") for name, check in self.checks.items()}
        return {"kind": self.kind, **table} if self.kind else table


@dataclasses.dataclass(frozen=True, slots=True)
class Alternatives(Check):
    """One of several records, told apart by their `kind`."""

    records: tuple[Record, ...]

    def read(self, value, where):
        kind = value.get("kind") if isinstance(value, dict) else None
        for record in self.records:
            if kind == record.kind:
                return record.read(value, where)
        raise bad(where, f"its kind must be one of {', '.join(r.kind for r in self.records)}")

    def write(self, value, where):
        for record in self.records:
            if type(value) is record.cls:
                return record.write(value, where)
        raise bad(where, f"must be one of {', '.join(r.cls.__name__ for r in self.records)}")
