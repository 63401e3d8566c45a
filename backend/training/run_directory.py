# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: what is in it, and how it is written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from milo.backend.data.cameras import Camera
from milo.backend.data.splat_folder import camera_records

from .errors import writing

FORMAT = 1


class RunDirectory:
    """Paths and files of one reconstruction.

    config.json, cameras.json (the training cameras, as 3DGS writes them), metrics.jsonl (a line per logged iteration
    and event), checkpoints/, splats.ply, mesh.ply, pictures/, stages/ (meshes on the way, kept by `milo reconstruct`)
    and run.json (how it went).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.splats = self.path / "splats.ply"
        self.mesh = self.path / "mesh.ply"
        self.pictures = self.path / "pictures"
        self.stages = self.path / "stages"
        self.metrics = self.path / "metrics.jsonl"
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Delete what an earlier run has left: its checkpoints would win over those of a new run that is stopped."""
        with writing(self.path):
            for folder in (self.checkpoints, self.stages, self.pictures):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (self.splats, self.mesh, self.path / "run.json", self.path / "evaluation.json"):
                file.unlink(missing_ok=True)

    def write_json(self, name: str, table: dict[str, Any]) -> None:
        """Write NAME with "format": 1; the file is replaced whole."""
        self._write(name, json.dumps({"format": FORMAT} | table, indent=1))

    def write_cameras(self, cameras: list[Camera]) -> None:
        """Write cameras.json, by which colours can be taken from the splats once the photos are gone."""
        self._write("cameras.json", json.dumps(camera_records(cameras)))

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        partial = path.with_suffix(".partial")
        with writing(path):
            partial.write_text(text + "\n", encoding="utf-8")
            os.replace(partial, path)

    def start_metrics(self, iteration: int) -> None:
        """Keep the metrics up to `iteration`, from which the run goes on; 0 = start anew."""
        kept = [json.dumps({"format": FORMAT})]
        if iteration and self.metrics.exists():
            for line in self.metrics.read_text(encoding="utf-8").splitlines()[1:]:
                try:
                    if json.loads(line)["iteration"] <= iteration:
                        kept.append(line)
                except (ValueError, KeyError):
                    continue   # a line cut off when the process was killed
        with writing(self.metrics):
            self.metrics.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def add_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Append lines to the metrics."""
        if lines:
            with writing(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
