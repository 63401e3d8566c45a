# SPDX-License-Identifier: Apache-2.0
"""The folder of an alignment under way: what COLMAP reads and writes. It is removed when the scene is complete.

plan.json         {"format": 1, "names", "one_camera", "options"}: the photos, in the order of their names
images/           the photos, upright, as COLMAP can read them
masks/            NAME.png for photos with a mask
feature_masks/    the same, widened: 255 where features may be
database.db       features and matches; what is in it is not computed again
models/N          COLMAP models; models/N.npz the same as arrays (models.py)
models.json       {"format": 1, "models": [N, ...]}: mapping is complete
undistort.json    {"format": 1, "model", "photos": {name: [photo, mask or null]}, "similarity", "max_points"}
scene/            the finished scene, on its way; solution.npz the same as arrays
colmap.log        what COLMAP said
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FORMAT = 1


class WorkFolder:
    """Paths and small files of one alignment."""

    def __init__(self, path: Path):
        self.path = path
        self.images, self.masks, self.feature_masks = path / "images", path / "masks", path / "feature_masks"
        self.database, self.models = path / "database.db", path / "models"
        self.scene, self.solution, self.log = path / "scene", path / "solution.npz", path / "colmap.log"

    def model_arrays(self, number: int) -> Path:
        return self.models / f"{number}.npz"

    def read_plan(self) -> dict[str, Any]:
        return self._read("plan.json")

    def write_plan(self, plan: dict[str, Any]) -> None:
        self._write("plan.json", plan)

    def has_plan(self, plan: dict[str, Any]) -> bool:
        """Whether an alignment with exactly this plan was begun here."""
        try:
            return self.read_plan() == {"format": FORMAT, **plan}
        except (OSError, ValueError):
            return False

    def read_solution(self) -> dict[str, Any]:
        return self._read("models.json")

    def write_solution(self, solution: dict[str, Any]) -> None:
        self._write("models.json", solution)

    @property
    def is_solved(self) -> bool:
        return (self.path / "models.json").is_file()

    def read_undistortion(self) -> dict[str, Any]:
        return self._read("undistort.json")

    def write_undistortion(self, plan: dict[str, Any]) -> None:
        self._write("undistort.json", plan)

    def _read(self, name: str) -> dict[str, Any]:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def _write(self, name: str, content: dict[str, Any]) -> None:
        partial = self.path / f".{name}"
        partial.write_text(json.dumps({"format": FORMAT, **content}, indent=1), encoding="utf-8")
        partial.replace(self.path / name)
