# SPDX-License-Identifier: Apache-2.0
"""Every number of a reconstruction: one tree of frozen dataclasses.  The defaults are the paper's fast schedule.

Iterations are counted from 1.  "extent" is the camera extent of the scene: 1.1 times the largest distance of a training
camera from the mean of the training cameras.  Sources: spec training.md, sections 2.5, 3 to 5, and 7.1; quirk numbers
(Q..) are those of its section 8.  Presets are TOML files in `presets/`: data that layers over the
defaults, in the order given.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

FORMAT = 1   # of config.json


class ConfigError(ValueError):
    """A preset, a key or a value that does not exist or does not fit; the message lists what would."""


@dataclass(frozen=True)
class DataConfig:
    """What is read from the scene folder."""

    images: str = "images"            # sub-folder with the photos
    masks: str = "masks"              # sub-folder with the masks (white = object), used where it exists
    depths: str = "depths"            # sub-folder with monocular depth of the photos, for loss.depth_order
    depth_kind: Literal["inverse", "depth"] = "inverse"   # inverse: larger values are nearer (disparity)
    depth_model: str = ""             # without that folder: a Depth Anything V2 model on this machine
    resolution: int = -1              # 1, 2, 4, 8: divide by; -1: at most 1600 px wide; else: the width in pixels
    max_width: int = 0                # pixels; wider photos are made smaller; 0 = no limit
    white_background: bool = False    # background behind transparent and masked photos: white instead of black
    premultiplied: bool = True        # photos with masks are on black already; false: cut them out by the masks
    holdout: bool = True              # keep test views (test.txt, transforms_test.json, else every 8th) out of training
    data_device: Literal["cpu", "cuda"] = "cpu"   # where the photos live


@dataclass(frozen=True)
class ModelConfig:
    """The Gaussians (spec 2)."""

    sh_degree: int = 3                # final degree of the spherical harmonics, 0 to 3
    sh_storage_start: int = 0         # stored degree before simplification 1
    initial_opacity: float = 0.1      # of Gaussians made from points
    mip_filter: bool = True           # 3D smoothing filter (spec 2.4)
    near: float = 0.05                # Gaussians nearer to a camera than this are not drawn ...
    near_unit: Literal["extent", "world"] = "extent"   # ... in this unit (the reference: 0.2 world units, Q4)
    max_gaussians: int = 0            # budget: stop copying, splitting and cloning above it; 0 = none


@dataclass(frozen=True)
class OptimConfig:
    """Learning rates and Adam (spec 2.5, 2.6)."""

    position_lr_init: float = 1.6e-4  # x extent
    position_lr_final: float = 1.6e-6  # x extent, reached at the horizon, log-linear
    position_lr_horizon: int = 30_000  # iterations; longer than the run on purpose (Q42)
    sh_dc_lr: float = 0.0025
    sh_rest_lr: float = 0.000125
    opacity_lr: float = 0.025         # of the logit
    scale_lr: float = 0.005           # of the logarithm
    quat_lr: float = 0.001
    occupancy_lr: float = 0.025       # of the logit
    exposure_lr: float = 0.001        # of loss.appearance = "exposure"
    appearance_embedding_lr: float = 0.001   # of loss.appearance = "network"
    appearance_network_lr: float = 0.001
    dense: bool = False               # every Gaussian takes every step, seen or not (the reference with appearance)
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-15


@dataclass(frozen=True)
class ScheduleConfig:
    """When phases begin (spec 0.1, 2.3, 6)."""

    iterations: int = 18_000
    half_resolution_until: int = 3000  # views of half size up to and including this iteration; 0 = never
    flush_views: bool = True          # drop half-size views left over at the switch (the reference uses them up, Q5)
    depth_normal_from: int = 3000     # depth-normal loss, hence geometry renders, from this iteration on
    sh_steps: tuple[int, ...] = (4000, 5000, 6000)   # iterations at which the active SH degree grows by one
    filter_interval: int = 100        # refresh of the 3D filter, besides one after every change of the set
    step_at_end: bool = True          # optimiser step in the last iteration too (the reference skips it, Q39)


@dataclass(frozen=True)
class DensifyConfig:
    """Growing and thinning out the Gaussians (spec 3)."""

    method: Literal["fast", "regular"] = "fast"   # regular: as usual in the field, on geometry renders alone (3.8)
    from_iter: int = 500              # copy and split after this iteration ...
    interval: int = 100               # ... every so many ...
    until_iter: int = 3000            # ... and before this one
    grad_threshold: float = 2e-4      # mean gradient of the screen position, NDC
    percent_dense: float = 0.01       # x extent; larger Gaussians are split, smaller ones copied
    split_children: int = 2
    split_shrink: float = 1.6         # children have the parent's scale divided by this
    blur_fraction: float = 1 / 5000   # of the pixels; a Gaussian that dominates more is split
    min_opacity: float = 0.005        # fainter Gaussians are removed
    opacity_reset_interval: int = 3000   # method regular: opacities go down to 0.01 each so many; any: from here on ...
    max_scale: float = 0.1            # ... Gaussians larger than this, x extent, are removed at each densification
    clone_from: int = 500             # aggressive clone from this iteration on, 0 = never ...
    clone_interval: int = 250         # ... every so many, before until_iter
    clone_prune_mass: float = 0.999   # importance that survives the prune of a clone pass
    mass: float = 0.99                # importance kept by every other mass rule (3.1)
    reinit_iter: int = 2000           # depth re-initialisation; 0 = never
    reinit_factor: float = 1.0        # points after / Gaussians before
    reinit_max: int = 0               # at most so many points; 0 = no limit
    simplify1_iter: int = 3000        # 0 = never
    simplify2_iter: int = 8000        # 0 = never
    sampling_factor: float = 0.6      # Gaussians drawn at simplification 1 / Gaussians with a score
    importance: Literal["outdoor", "indoor"] = "outdoor"   # outdoor: mean weight per pixel, indoor: summed weight
    dense: bool = False               # importance pruning instead of sampling at both simplifications
    min_views: int = 1                # Gaussians in the 99 % set of at most so many views are removed ...
    few_views: int = 40               # ... with fewer training views than this: of none (Q46)


@dataclass(frozen=True)
class LossConfig:
    """Image losses (spec 2.8, 4.1 to 4.3)."""

    lambda_dssim: float = 0.2
    appearance: Literal["none", "exposure", "network"] = "none"   # what may differ from photo to photo
    random_background: bool = False   # a new colour behind the render in each iteration; opaque things turn opaque
    masked: Literal["background", "ignore"] = "background"   # what masks exclude is the background, or says nothing
    mask_weight: float = 0.0          # of the difference between rendered alpha and the photo's mask, where it has one
    depth_normal_weight: float = 0.05
    depth_normal_expected: float = 0.6   # share of the expected depth; the rest is the median depth's
    depth_order: bool = False         # what monocular depth says is nearer shall be nearer (4.3)
    depth_order_at: tuple[int, ...] = (600, 1500, 3000, 8000, 13_000)   # iterations at which its weight changes ...
    depth_order_weights: tuple[float, ...] = (0.0, 1.0, 0.1, 0.01, 0.001, 0.0001)   # ... from the first to the next


@dataclass(frozen=True)
class MeshConfig:
    """The mesh in the loop (spec 5)."""

    start_iter: int = 8001            # later than the last iteration = no mesh in the loop
    stop_iter: int = 18_000           # resets end here; the losses go on
    every: int = 1                    # evaluate the mesh losses each so many iterations, weights times as much
    max_points: int = 5_400_000       # Delaunay sites, 9 a Gaussian; 0 = no limit
    sampling: Literal["surface", "surface+opacity", "random"] = "surface"   # which Gaussians, if there are more
    delaunay_interval: int = 500
    delaunay_lag: int = 100           # iterations from the pivots' snapshot to its triangulation's use; 0 = wait for it
    sdf_interval: int = 500           # depth fusion of the occupancy
    sdf_stop_iter: int = 13_001
    reset_mode: Literal["ema", "none"] = "ema"
    reset_alpha: float = 0.4          # weight of the fused occupancy at an EMA reset
    labels_interval: int = 200
    depth_weight: float = 0.05
    normal_weight: float = 0.05
    centers_weight: float = 0.005
    labels_weight: float = 0.005
    label_loss: Literal["parity", "masked"] = "parity"   # parity: mean BCE x share of occupied labels (Q12)
    depth_ratio: float = 1.0          # share of the median depth in the maps compared with the mesh
    trunc: float = 0.002              # truncation of depth fusion, x extent
    antialias: bool = True            # silhouette gradients of the mesh depth
    rasterizer: Literal["native", "nvdiffrast"] = "native"   # of the mesh in the losses; nvdiffrast: installed by you
    carve_masks: bool = False         # what the photos' masks call background is free space; with loss.mask_weight
    near: float = 1e-3                # x extent
    far: float = float("inf")         # x extent


@dataclass(frozen=True)
class ExtractConfig:
    """The final mesh (spec extraction 1.1, 1.2)."""

    method: Literal["learned", "depth_fusion", "integration", "tsdf", "dtu"] = "learned"   # see docs
    rasterizer: Literal["model", "radegs", "gof"] = "model"   # model: as in training (the reference: always gof)
    max_points: int = 0               # Delaunay sites at most; 0 = mesh.max_points
    init: Literal["learned", "depth_fusion", "integration"] = "learned"   # field that the refinement starts from
    refine_iters: int = 1000          # 0 = extract at once
    refine_lr: float = 0.025
    labels_interval: int = 100
    binary_steps: int = 8             # bisections of each edge that crosses the surface (methods and init by a field)
    linear_steps: int = 20            # init by a field: passes that make it linear along crossing edges
    linear_std: float = 0.5           # standard deviation that init by a field is brought to (the reference: 1, Q-3)
    isosurface: float = 0.5           # opacity at which the integrated field is cut
    drop_unseen: bool = False         # drop vertices that lie in no training photo


@dataclass(frozen=True)
class TsdfConfig:
    """Fusion of rendered depths in a regular grid (spec extraction 1.3). Lengths are in world units."""

    median_share: float = 0.4         # of the fused depth; the rest is the expected depth's
    radius_factor: float = 2.0        # depth_max / distance of the nearest camera from what all look at
    depth_max: float = 0.0            # depths beyond it are not fused; 0 = by radius_factor
    resolution: int = 1024            # voxels in depth_max
    voxel: float = 0.0                # 0 = by resolution
    truncation: float = 5.0           # voxels
    min_weight: int = 1               # views that must judge every corner of a cell
    min_alpha: float = 0.0            # pixels with less are empty
    pixel_shift: float = 0.0          # of the principal point, pixels
    clusters: int = 50                # connected parts kept, the largest; 0 = all
    min_cluster: int = 50             # faces of a kept part


@dataclass(frozen=True)
class DtuConfig(TsdfConfig):
    """The same for captures in DTU's frame (spec extraction 1.4)."""

    median_share: float = 1.0
    depth_max: float = 8.0
    voxel: float = 0.002
    truncation: float = 8.0
    min_weight: int = 3
    min_alpha: float = 0.5
    pixel_shift: float = 0.5          # as the published table; 0 puts pixels where the photos have them
    clusters: int = 0


@dataclass(frozen=True)
class RunConfig:
    """How a run behaves; nothing here changes the method."""

    seed: int = 0
    threads: int = 0                  # CPU threads; 0 = all cores
    evaluate_at: tuple[int, ...] = (3000, 8000)      # PSNR on the held-out views, besides the end
    provisional_at: tuple[int, ...] = (3000, 8000)   # mesh by depth fusion, before the mesh loop
    snapshot_interval: int = 250      # iterations between live meshes in the mesh loop
    checkpoint_interval: int = 2000   # iterations; 0 = only on stop and at the phase's end
    keep_checkpoints: int = 2
    preview_width: int = 320          # pixels of a snapshot's picture


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
        if self.mesh.delaunay_lag < 0:
            raise ConfigError(f"mesh.delaunay_lag is {self.mesh.delaunay_lag}; a lag is 0 iterations or more.")

    def to_dict(self) -> dict[str, Any]:
        """Plain types for config.json, with "format": 1."""
        return {"format": FORMAT} | dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Config:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a format this version cannot read, or an unknown key or type.
        """
        if table.get("format") != FORMAT:
            raise ConfigError(f"config.json has format {table.get('format')!r}; this version of MILo reads {FORMAT}.")
        values: dict[str, dict[str, Any]] = {}
        _layer(values, {key: value for key, value in table.items() if key != "format"}, "config.json")
        return _build(values)


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


def _nested(overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    if not isinstance(overrides, Mapping):
        overrides = dict(_parse_override(text) for text in overrides)
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
