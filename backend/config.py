# SPDX-License-Identifier: Apache-2.0
"""Every number of a reconstruction: one tree of frozen dataclasses, checked, with presets that layer.

Presets are TOML files in `presets/`: data that layers over the defaults, in the order given. A preset may name presets
it stands on (`over`).
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from .old_settings import renewed
from .sections import (
    DataConfig,
    DensifyConfig,
    DtuConfig,
    ExtractConfig,
    LossConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    RegionConfig,
    RunConfig,
    ScheduleConfig,
    TsdfConfig,
)

FORMAT = 1   # of config.json


class ConfigError(ValueError):
    """A preset, a key or a value that does not exist or does not fit; the message lists what would."""


@dataclass(frozen=True)
class Config:
    """Everything a reconstruction needs to know."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    densify: DensifyConfig = field(default_factory=DensifyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    tsdf: TsdfConfig = field(default_factory=TsdfConfig)
    dtu: DtuConfig = field(default_factory=DtuConfig)
    region: RegionConfig = field(default_factory=RegionConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self):
        """Refuse what could only fail in the middle of training."""
        if self.schedule.iterations < 1:
            raise ConfigError(f"schedule.iterations is {self.schedule.iterations}; a run has at least 1 iteration.")
        if not 0 <= self.model.sh_storage_start <= self.model.sh_degree <= 3:
            raise ConfigError(f"model.sh_degree is {self.model.sh_degree} and model.sh_storage_start "
                              f"{self.model.sh_storage_start}; need 0 <= sh_storage_start <= sh_degree <= 3.")
        if self.densify.method == "fast" and self.schedule.depth_normal_from < self.densify.until_iter:
            raise ConfigError(f"schedule.depth_normal_from ({self.schedule.depth_normal_from}) is before "
                              f"densify.until_iter ({self.densify.until_iter}); geometry renders do not say which "
                              "Gaussian owns a pixel, as fast densification must know. Start the loss when it has "
                              "ended, or set densify.method=regular.")
        if self.mesh.start_iter < self.schedule.depth_normal_from:
            raise ConfigError(f"mesh.start_iter ({self.mesh.start_iter}) is before schedule.depth_normal_from "
                              f"({self.schedule.depth_normal_from}); the mesh losses need geometry renders.")
        if self.loss.masked == "ignore" and (self.loss.mask_weight > 0 or self.mesh.carve_masks):
            raise ConfigError("loss.masked is ignore, so masks say nothing about free space: set loss.mask_weight=0 "
                              "and mesh.carve_masks=false.")
        steps, weights = self.loss.depth_order_at, self.loss.depth_order_weights
        if len(weights) != len(steps) + 1 or list(steps) != sorted(steps):
            raise ConfigError(f"loss.depth_order_weights has {len(weights)} weights for {len(steps)} changes in "
                              "loss.depth_order_at; there is one weight more than changes, and these ascend.")
        for path in ("densify.interval", "densify.clone_interval", "densify.opacity_reset_interval",
                     "schedule.filter_interval", "mesh.every", "mesh.delaunay_interval", "mesh.sdf_interval",
                     "mesh.labels_interval", "extract.labels_interval", "run.snapshot_interval"):
            section, name = path.split(".")
            if getattr(getattr(self, section), name) < 1:
                raise ConfigError(f"{path} is {getattr(getattr(self, section), name)}; an interval is at least 1.")
        box = self.region.box
        if box and not (len(box) == 16 and all(map(math.isfinite, box)) and box[12:] == (0, 0, 0, 1)
                        and abs(_determinant(box)) > 1e-12):
            raise ConfigError(f"region.box has {len(box)} numbers; it is the matrix of a box: 16 finite numbers by "
                              "rows, the last row 0, 0, 0, 1, and no side of length 0.")
        if self.region.margin < 0:
            raise ConfigError(f"region.margin is {self.region.margin}; a margin is 0 or more.")
        if self.mesh.delaunay_lag < 0:
            raise ConfigError(f"mesh.delaunay_lag is {self.mesh.delaunay_lag}; a lag is 0 iterations or more.")
        if not 0 <= self.extract.air_opacity < 1 or not 0 < self.extract.isosurface < 1:
            raise ConfigError(f"extract.air_opacity is {self.extract.air_opacity} and extract.isosurface "
                              f"{self.extract.isosurface}; opacities to cut at lie between 0 and 1.")

    def to_dict(self) -> dict[str, Any]:
        """Plain types for config.json, with "format": 1."""
        return {"format": FORMAT} | dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Config:
        """The inverse of `to_dict`; settings of earlier versions are taken over.

        Raises:
            ConfigError: a format this version cannot read, or an unknown key or type.
        """
        if table.get("format") != FORMAT:
            raise ConfigError(f"config.json has format {table.get('format')!r}; this version of MILo reads {FORMAT}.")
        values: dict[str, dict[str, Any]] = {}
        sections = {key: value for key, value in renewed(table).items() if key != "format"}
        try:
            _layer(values, sections, "config.json")
        except ConfigError as error:
            raise ConfigError(f"{error} Another version of MILo has written this file: use that one, or correct or "
                              "delete the entry; what is missing takes its default.") from error
        return _build(values)


def _determinant(m: tuple[float, ...]) -> float:
    """Of the upper left 3 x 3 of a 4 x 4 matrix by rows."""
    return (m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8])
            + m[2] * (m[4] * m[9] - m[5] * m[8]))


def preset_names() -> list[str]:
    """The presets that ship, in alphabetical order."""
    folder = resources.files(__package__).joinpath("presets")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def preset_description(name: str) -> str:
    """One sentence about a preset, for lists in the CLI and the panel."""
    return str(_read_preset(name).get("description", ""))


def load_config(presets: Iterable[str] = (), overrides: Mapping[str, Any] | Iterable[str] = ()) -> Config:
    """The defaults, then each preset in order, then the overrides.

    Args:
        presets: names of `preset_names()`; later ones win.
        overrides: {"densify.interval": 20, ...}, nested mappings likewise, or strings "densify.interval=20" whose
            right side is a TOML value (a bare word is a string).

    Raises:
        ConfigError: unknown preset, key or choice, or a value of the wrong type; the message lists what there is.
    """
    values: dict[str, dict[str, Any]] = {}
    for name in presets:
        _layer_preset(values, name)
    _layer(values, _nested(overrides), "override")
    return _build(values)


def with_overrides(config: Config, overrides: Mapping[str, Any] | Iterable[str]) -> Config:
    """A configuration with some settings changed; overrides and errors as in `load_config`."""
    values: dict[str, dict[str, Any]] = {}
    _layer(values, dataclasses.asdict(config), "config")
    _layer(values, _nested(overrides), "override")
    return _build(values)


def _layer_preset(values: dict[str, dict[str, Any]], name: str) -> None:
    """Lay a preset over `values`, after those that it names under `over`."""
    table = _read_preset(name)
    table.pop("description", None)
    for lower in table.pop("over", ()):
        _layer_preset(values, lower)
    _layer(values, table, f"preset {name}")


def _read_preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise ConfigError(f"Unknown preset {name!r}; there are: {', '.join(preset_names())}.")
    return tomllib.loads(resources.files(__package__).joinpath("presets", f"{name}.toml").read_text("utf-8"))


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"Setting {text!r} has no value; write it as section.key=value, e.g. mesh.every=2.")
    value = value.strip()
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """{"section.key": value} of strings "section.key=value", as `load_config` reads them."""
    return dict(_parse_override(text) for text in texts)


def _nested(overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    if not isinstance(overrides, Mapping):
        overrides = parse_settings(overrides)
    table: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            table.setdefault(key, {}).update(value)
            continue
        section, dot, name = key.partition(".")
        if not dot:
            raise ConfigError(f"Setting {key!r} names no section; write section.key, with one of the sections: "
                              f"{', '.join(_sections())}.")
        table.setdefault(section, {})[name] = value
    return table


def _sections() -> dict[str, type]:
    return typing.get_type_hints(Config)


def _layer(values: dict[str, dict[str, Any]], table: Mapping[str, Any], source: str) -> None:
    """Check one layer against the tree's types and lay it over `values`."""
    for section, entries in table.items():
        if section not in _sections():
            raise ConfigError(f"{source}: unknown section {section!r}; there are: {', '.join(_sections())}.")
        if not isinstance(entries, Mapping):
            raise ConfigError(f"{source}: {section!r} is a section, not a value; set one of its keys.")
        hints = typing.get_type_hints(_sections()[section])
        for name, value in entries.items():
            if name not in hints:
                raise ConfigError(f"{source}: unknown key {section}.{name}; {section} has: {', '.join(hints)}.")
            values.setdefault(section, {})[name] = _coerce(value, hints[name], f"{source}: {section}.{name}")


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the field's type; whole numbers serve as floats, lists as tuples, nothing else is converted."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{where} is {value!r}; choose one of: {', '.join(map(str, choices))}.")
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}; a list of numbers is needed, e.g. [3000, 8000].")
        return tuple(_coerce(item, typing.get_args(hint)[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
        raise ConfigError(f"{where} is {value!r}; {wanted} is needed.")
    return value


def _build(values: Mapping[str, Mapping[str, Any]]) -> Config:
    return Config(**{section: kind(**values.get(section, {})) for section, kind in _sections().items()})
