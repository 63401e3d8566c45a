# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of the backend with its default and its meaning, and what presets make of it. Imports no bpy.

The extension carries the backend's page of options and its presets as they are: there is no second list.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| `([^`]*)` \| (.+?) \| .*?\|$", re.MULTILINE)
HEADING = re.compile(r"^## (\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """One option: its default as TOML reads it, and what it means."""

    section: str
    name: str
    default: Any
    meaning: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"


@cache
def all_options() -> dict[str, Option]:
    """{"section.name": option}, in the order of the page."""
    options = {}
    for section, name, default, meaning in ROW.findall(_page()):
        plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", meaning).replace("`", "").strip()
        options[f"{section}.{name}"] = Option(section, name, tomllib.loads(f"v = {default}")["v"], plain)
    return options


@cache
def sections() -> list[tuple[str, str, str]]:
    """(name, label, what it is about) of each section that has options."""
    about = dict(HEADING.findall(_page()))
    names = dict.fromkeys(option.section for option in all_options().values())
    return [(name, name.capitalize(), about.get(name, "").capitalize()) for name in names]


@cache
def preset(name: str) -> dict[str, Any]:
    """{"section.name": value} of what a preset, with those it stands on, changes."""
    table = tomllib.loads((HERE / "presets" / f"{name}.toml").read_text(encoding="utf-8"))
    table.pop("description", None)
    values: dict[str, Any] = {}
    for lower in table.pop("over", ()):
        values |= preset(lower)
    return values | {f"{section}.{key}": value for section, keys in table.items() for key, value in keys.items()}


def parse(text: str) -> dict[str, Any]:
    """{"a.b": value} from "a.b=1; c.d=true"; values are TOML, or plain text.

    Raises:
        ValueError: a piece is not key=value.
    """
    settings = {}
    for piece in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not key or not equals:
            raise ValueError(f'Settings: "{piece}" is not of the form section.field=value.')
        settings[key] = _value(value)
    return settings


def changed(text: str, key: str, value: str) -> str:
    """The settings `text` with one of them set to another value, or, with value "", left out.

    Raises:
        ValueError: the text cannot be read, or the value is not of the option's kind.
    """
    settings = parse(text)
    settings.pop(key, None)
    if value.strip():
        default, new = all_options()[key].default, _value(value.strip())
        number = isinstance(default, float) and isinstance(new, int) and not isinstance(new, bool)
        if type(new) is not type(default) and not number:
            kinds = {bool: "true or false", int: "a whole number", float: "a number", list: "a list like [1, 2]"}
            raise ValueError(f"{key}: {value.strip()} is not {kinds.get(type(default), 'a text')}.")
        settings[key] = new
    return "; ".join(f"{name}={written(setting)}" for name, setting in settings.items())


def written(value: Any) -> str:
    """A value as `parse` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@cache
def _page() -> str:
    return (HERE / "options.md").read_text(encoding="utf-8")
