# SPDX-License-Identifier: Apache-2.0
"""What is said about jobs: what to work on, what becomes of it."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from .arrays import Array
from .errors import bad
from .fields import (
    COUNT,
    BlobSize,
    Count,
    Figure,
    Hash,
    ImageSide,
    JobId,
    Matrix3,
    Matrix4,
    Name,
    Path,
    Sentence,
    Wait,
    message,
)
from .limits import (
    MAX_COUNT,
    MAX_JOBS,
    MAX_NAME,
    MAX_PRESETS,
    MAX_SCENE_CAMERAS,
    MAX_SCENE_FILES,
    MAX_SETTING_LIST,
    MAX_SETTING_TEXT,
    MAX_SETTINGS,
)
from .schema import Alternatives, Choice, Flag, Integer, List, Map, Number, OneOf, Record, Text

STATES = ("queued", "running", "paused", "interrupted", "finished", "failed", "cancelled")
TASKS = ("reconstruct", "align", "photos", "finish")     # photos: only report on them
_SETTING = OneOf((Flag(), COUNT, Integer(-MAX_COUNT, -1), Number(), Text(MAX_SETTING_TEXT)), "a plain value")

Presets = Annotated[tuple[str, ...], List(Text(MAX_NAME, "[A-Za-z0-9_-]+"), MAX_PRESETS)]     # later ones win
Settings = Annotated[dict, Map(Text(MAX_NAME, r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"),
                               OneOf((_SETTING, List(_SETTING, MAX_SETTING_LIST)), "a plain value or a list"),
                               MAX_SETTINGS)]                                                  # "section.field": value


@dataclass(frozen=True, slots=True)
class SceneFile:
    path: Path
    hash: Hash
    size: BlobSize


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """A folder, file by file: a scene (images/, masks/, sparse/0/*, transforms*.json, test.txt), or, to align or report
    on, photos (images/, masks/) or one video."""
    files: Annotated[tuple[SceneFile, ...], List(Record(SceneFile), MAX_SCENE_FILES, 1)]

    def check(self):
        paths = {file.path.lower() for file in self.files}     # some disks do not tell cases apart
        folders = {path[:i] for path in paths for i, letter in enumerate(path) if letter == "/"}
        if len(paths) < len(self.files) or paths & folders:
            raise bad("scene.files", "a path is there twice, or is a file and a folder at once")


@dataclass(frozen=True, slots=True)
class SceneCamera:
    name: Name
    hash: Hash                      # of its image
    width: ImageSide
    height: ImageSide
    K: Matrix3
    viewmat: Matrix4
    mask: Annotated[str, Text(64, "([0-9a-f]{64})?")] = ""      # hash of its mask's file, "" for none


@dataclass(frozen=True, slots=True)
class SceneCameras:
    """Cameras that are already known, such as those of a Blender scene, with an image each."""
    cameras: Annotated[tuple[SceneCamera, ...], List(Record(SceneCamera), MAX_SCENE_CAMERAS, 1)]

    def check(self):
        """Any cameras will do."""


@dataclass(frozen=True, slots=True)
class SceneOfJob:
    """A reconstruction that is finished: what is to be made into an asset."""
    job: JobId

    def check(self):
        """Whether there is such a job is for the server to say."""


@message("job.start")
@dataclass(frozen=True, slots=True)
class StartJob:
    """Reconstruct a scene whose blobs are all there, align or report on its photos, or finish a reconstruction. Answer:
    JobInfo."""
    name: Name
    scene: Annotated[SceneFiles | SceneCameras | SceneOfJob,
                     Alternatives((Record(SceneFiles, "files"), Record(SceneCameras, "cameras"),
                                   Record(SceneOfJob, "job")))]
    preset: Presets = ()
    settings: Settings = field(default_factory=dict)
    task: Annotated[str, Choice(TASKS)] = "reconstruct"
    points: Annotated[np.ndarray | None, Array("float32", (None, 3), optional=True)] = None  # [P,3] world; cameras only
    colors: Annotated[np.ndarray | None, Array("uint8", (None, 3), optional=True)] = None    # of the points, sRGB

    def check(self):
        self.scene.check()
        if self.points is not None and not isinstance(self.scene, SceneCameras):
            raise bad("job.start", "points go with cameras; a scene folder has its own")
        if (self.task == "finish") != isinstance(self.scene, SceneOfJob):
            raise bad("job.start", "a job is what can be finished, and nothing else can be done with one")
        if self.points is not None and not np.isfinite(self.points).all():
            raise bad("job.start", "points must be finite")
        if self.colors is not None and (self.points is None or len(self.colors) != len(self.points)):
            raise bad("job.start", "there is not one colour for each point")
        if self.task in ("align", "photos") and isinstance(self.scene, SceneCameras):
            raise bad("job.start", "cameras that are known already cannot be aligned")


@message("job.list")
@dataclass(frozen=True, slots=True)
class ListJobs:
    """All jobs, oldest first. Answer: Jobs."""


@message("job.get")
@dataclass(frozen=True, slots=True)
class GetJob:
    """Answer: JobInfo."""
    job: JobId


@message("job.watch")
@dataclass(frozen=True, slots=True)
class WatchJob:
    """Answer: JobInfo as soon as its revision is newer than `after`, or Nothing after `wait_s`."""
    job: JobId
    after: Count = 0
    wait_s: Wait = 20.0


@message("job.pause")
@dataclass(frozen=True, slots=True)
class PauseJob:
    """Save, end the worker, keep the place in the queue. Answer: JobInfo at once; watch for state "paused"."""
    job: JobId


@message("job.resume")
@dataclass(frozen=True, slots=True)
class ResumeJob:
    """Queue a job again that is paused, interrupted, failed or cancelled; it goes on from its last checkpoint."""
    job: JobId


@message("job.cancel")
@dataclass(frozen=True, slots=True)
class CancelJob:
    """End a job within two seconds, keep what was saved. Answer: JobInfo at once; watch for state "cancelled"."""
    job: JobId


@message("job.delete")
@dataclass(frozen=True, slots=True)
class DeleteJob:
    """End a job and remove its files. Answer: its last JobInfo."""
    job: JobId


@message("job.info")
@dataclass(frozen=True, slots=True)
class JobInfo:
    job: JobId
    name: Name
    state: Annotated[str, Choice(STATES)]
    revision: Count                 # grows with every change, also over restarts of the server
    stage: Name = ""                # of the reconstruction, or "pausing", "cancelling"
    iteration: Count = 0
    iterations: Count = 0
    eta_s: Figure = None            # seconds left
    loss: Figure = None
    psnr: Figure = None             # dB
    gaussians: Count = 0
    vertices: Count = 0
    mesh_seq: Count = 0             # newest mesh that mesh.next can give
    note: Sentence = ""             # about the job, such as how much memory it takes
    error: Sentence = ""            # why it failed
    hint: Sentence = ""             # what to do
    created: Annotated[float, Number(0.0)] = 0.0   # seconds since 1970, UTC
    device: Name = ""
    task: Annotated[str, Choice(TASKS)] = "reconstruct"


@message("jobs")
@dataclass(frozen=True, slots=True)
class Jobs:
    jobs: Annotated[tuple[JobInfo, ...], List(Record(JobInfo), MAX_JOBS)]
