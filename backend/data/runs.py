# SPDX-License-Identifier: Apache-2.0
"""The folder of a run, as far as those need it who read one back."""

from __future__ import annotations

import json
from pathlib import Path

from ..config import Config
from .errors import SceneError


def require_run(path: Path, *files: str) -> None:
    """Refuse a folder that is not a run's, or lacks one of `files`.

    Raises:
        SceneError: the same in a sentence.
    """
    if not (path / "config.json").is_file():
        raise SceneError(path, "this is not the folder of a run (no config.json)", "Give the -o of `milo reconstruct`")
    missing = [name for name in files if not (path / name).is_file()]
    if missing:
        raise SceneError(path, f"the run is not finished (no {' and no '.join(missing)})", "Resume it first")


def splats_of(path: Path) -> Path:
    """The splats of a run: splats.ply, or splats.spz where a .blend has kept them so."""
    exact, small = path / "splats.ply", path / "splats.spz"
    return small if small.is_file() and not exact.is_file() else exact


def config_of(path: Path) -> Config:
    """The configuration of a run.

    Raises:
        SceneError: config.json cannot be read. ConfigError: it is of another version.
    """
    return Config.from_dict(_read_json(path / "config.json"))


def _read_json(path: Path) -> dict:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SceneError(path, f"it cannot be read ({error})", "Run `milo reconstruct` again") from error
    if not isinstance(table, dict):
        raise SceneError(path, "it holds no table", "Run `milo reconstruct` again")
    return table


def how_drawn(run: Path) -> dict:
    """The near plane (world units; it follows the size of the scene) and the rasteriser of a run's Gaussians."""
    try:
        record = json.loads((run / "run.json").read_text("utf-8"))
        return {"near": float(record["splat_near"]), "rasterizer": record.get("rasterizer", "radegs")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}   # splats are there before the run has said how it went


def scene_of(path: Path) -> Path:
    """The folder of the scene that a run was made from.

    Raises:
        SceneError: the run does not say, or the folder is gone.
    """
    record = path / "run.json"
    folder = _read_json(record).get("scene_path") if record.is_file() else None
    if not folder or not Path(folder).is_dir():
        raise SceneError(record, f"the scene of this run is not there ({folder})", "Give its folder with --scene")
    return Path(folder)
