# SPDX-License-Identifier: GPL-3.0-or-later
"""From the user's choice to a running job: read the photos, send them, ask for the job. On a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.messages import JobInfo, SceneCamera, SceneCameras, SceneFiles, StartJob
from .client import Client
from .errand import Errand
from .upload import Blob, blob_of, folder_scene, photo_scene, send_blobs


@dataclass(frozen=True)
class Reconstruction:
    """What to reconstruct, or, with another task than "reconstruct", which photos to align or to report on.

    Either `folder` (to align: of photos, or the file of a video), or `cameras`: objects with name, width, height,
    K [3, 3], viewmat [4, 4], source (a path, or the photo's bytes) and mask (a path, or None), as scene/cameras.py
    makes them; with them points [P, 3] float32 and colors [P, 3] uint8, or None.
    """

    name: str
    preset: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    cameras: Sequence[Any] = ()
    points: np.ndarray | None = None
    colors: np.ndarray | None = None
    task: str = "reconstruct"


class JobStart(Errand):
    """A job on its way.

    Attributes, written by its thread:
        stage: what it does now, for the panel.
        fraction: of the bytes at the backend.
        result: the JobInfo of the started job, or None; problem: why it failed, or None. Neither: cancelled.
    """

    def __init__(self, client: Client, wanted: Reconstruction):
        self.client = client
        self.wanted = wanted
        self.stage = "Reading photos"
        super().__init__("job start", self._start)

    def _start(self) -> JobInfo:
        scene, blobs = self._scene()
        self.stage = "Sending photos"
        send_blobs(self.client, blobs, self._progress, self.cancelled)
        self.stage = "Starting"
        wanted = self.wanted
        question = StartJob(
            wanted.name, scene, wanted.preset, wanted.settings, wanted.task, wanted.points, wanted.colors
        )
        return self.client.request(question, timeout_s=60.0).result()

    def _scene(self) -> tuple[SceneFiles | SceneCameras, list[Blob]]:
        if self.wanted.task != "reconstruct":
            return photo_scene(self.wanted.folder, self.cancelled)
        if self.wanted.folder is not None:
            return folder_scene(self.wanted.folder, self.cancelled)
        cameras, blobs = [], []
        for camera in self.wanted.cameras:
            blob = blob_of(camera.source, self.cancelled)
            K, viewmat = tuple(camera.K.ravel().tolist()), tuple(camera.viewmat.ravel().tolist())
            mask = blob_of(camera.mask, self.cancelled) if camera.mask else None
            cameras.append(
                SceneCamera(
                    camera.name, blob.hash, camera.width, camera.height, K, viewmat, mask.hash if mask else ""
                )
            )
            blobs += [blob, mask] if mask else [blob]
        return SceneCameras(tuple(cameras)), blobs

    def _progress(self, there: int, total: int) -> None:
        self.fraction = there / total if total else 1.0
