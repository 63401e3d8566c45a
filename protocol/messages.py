# SPDX-License-Identifier: Apache-2.0
"""Everything that the two sides say: one frozen dataclass for each message, requests first, then replies.

Fields carry their checks (schema.py). Lists come out as tuples. Matrices are row-major tuples of numbers: K [9] in
pixels (the centre of the first pixel is 0.5), viewmat [16] from the world to a camera that looks along +z, y down.
"""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from .arrays import Array
from .errors import CODES, ProtocolError, bad
from .limits import (
    MAX_BLOB_BYTES,
    MAX_CAPABILITIES,
    MAX_CHUNK_BYTES,
    MAX_COUNT,
    MAX_FILES,
    MAX_HASHES,
    MAX_IMAGE_SIDE,
    MAX_JOB_ID,
    MAX_JOBS,
    MAX_LOG,
    MAX_LOG_LINES,
    MAX_NAME,
    MAX_PICTURE_SIDE,
    MAX_PRESETS,
    MAX_SCENE_CAMERAS,
    MAX_SCENE_FILES,
    MAX_SETTING_LIST,
    MAX_SETTING_TEXT,
    MAX_SETTINGS,
    MAX_TEXT,
    MAX_WAIT_S,
    PROTOCOL_VERSION,
)
from .schema import Alternatives, Choice, Flag, Integer, List, Map, Maybe, Number, OneOf, Record, RelativePath, Text

STATES = ("queued", "running", "paused", "interrupted", "finished", "failed", "cancelled")
MESH_KINDS = ("provisional", "live", "final")
TASKS = ("reconstruct", "align", "photos")     # photos: only report on them

_COUNT = Integer(0, MAX_COUNT)
_JOB = Text(MAX_JOB_ID, "[0-9a-z][0-9a-z-]*")
_HASH = Text(64, "[0-9a-f]{64}")
_SETTING = OneOf((Flag(), _COUNT, Integer(-MAX_COUNT, -1), Number(), Text(MAX_SETTING_TEXT)), "a plain value")

JobId = Annotated[str, _JOB]
Name = Annotated[str, Text(MAX_NAME)]
Sentence = Annotated[str, Text(MAX_TEXT)]
Hash = Annotated[str, _HASH]                                   # sha256, 64 hexadecimal digits in lower case
Hashes = Annotated[tuple[str, ...], List(_HASH, MAX_HASHES)]
Path = Annotated[str, RelativePath()]
Count = Annotated[int, _COUNT]
BlobSize = Annotated[int, Integer(0, MAX_BLOB_BYTES)]
Wait = Annotated[float, Number(0.0, MAX_WAIT_S)]               # seconds
Figure = Annotated[float | None, Maybe(Number())]
Matrix3 = Annotated[tuple[float, ...], List(Number(), 9, 9)]
Matrix4 = Annotated[tuple[float, ...], List(Number(), 16, 16)]
ImageSide = Annotated[int, Integer(1, MAX_IMAGE_SIDE)]
PictureSide = Annotated[int, Integer(1, MAX_PICTURE_SIDE)]
Data = Annotated[np.ndarray, Array("uint8", (None,), max_bytes=MAX_CHUNK_BYTES)]

MESSAGES: dict[str, Record] = {}     # by the name on the wire
TYPES: dict[type, str] = {}


def message(name: str, open: bool = False):
    """Enter a dataclass into the registry. `open` messages ignore unknown fields: those of the handshake."""
    def enter(cls):
        MESSAGES[name] = Record(cls, open=open)
        TYPES[cls] = name
        return cls
    return enter


# ------------------------------------------------------------------ requests


@message("hello", open=True)
@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client. Answer: Welcome, or Error version_mismatch."""
    client: Name
    version: Name
    protocol: Count = PROTOCOL_VERSION


@message("blob.have")
@dataclass(frozen=True, slots=True)
class HaveBlobs:
    """Which of these files must be sent? Answer: NeedsBlobs."""
    hashes: Hashes


@message("blob.put")
@dataclass(frozen=True, slots=True)
class PutBlob:
    """A piece of a file. Answer: BlobStored; go on from its `received`, whatever it is."""
    hash: Hash
    size: BlobSize                  # of the whole file, bytes
    offset: BlobSize                # of this piece
    data: Data

    def check(self):
        if self.offset + len(self.data) > self.size:
            raise bad("blob.put", f"bytes {self.offset}..{self.offset + len(self.data)} of a file of {self.size}")


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


@message("job.start")
@dataclass(frozen=True, slots=True)
class StartJob:
    """Reconstruct a scene whose blobs are all there, or align or report on its photos. Answer: JobInfo."""
    name: Name
    scene: Annotated[SceneFiles | SceneCameras,
                     Alternatives((Record(SceneFiles, "files"), Record(SceneCameras, "cameras")))]
    preset: Annotated[tuple[str, ...], List(Text(MAX_NAME, "[A-Za-z0-9_-]+"), MAX_PRESETS)] = ()   # later ones win
    settings: Annotated[dict, Map(Text(MAX_NAME, r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"),
                                  OneOf((_SETTING, List(_SETTING, MAX_SETTING_LIST)), "a plain value or a list"),
                                  MAX_SETTINGS)] = field(default_factory=dict)   # "section.field": value
    task: Annotated[str, Choice(TASKS)] = "reconstruct"
    points: Annotated[np.ndarray | None, Array("float32", (None, 3), optional=True)] = None  # [P,3] world; cameras only
    colors: Annotated[np.ndarray | None, Array("uint8", (None, 3), optional=True)] = None    # of the points, sRGB

    def check(self):
        self.scene.check()
        if self.points is not None and isinstance(self.scene, SceneFiles):
            raise bad("job.start", "points go with cameras; a scene folder has its own")
        if self.points is not None and not np.isfinite(self.points).all():
            raise bad("job.start", "points must be finite")
        if self.colors is not None and (self.points is None or len(self.colors) != len(self.points)):
            raise bad("job.start", "there is not one colour for each point")
        if self.task != "reconstruct" and isinstance(self.scene, SceneCameras):
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


@message("mesh.next")
@dataclass(frozen=True, slots=True)
class NextMesh:
    """Ask for the newest mesh of a job, once there is one newer than `after`. Answer: MeshSnapshot, or Nothing."""
    job: JobId
    after: Count = 0                # sequence number the client already has
    max_triangles: Count = 200_000  # level of detail for a live view; 0 = all
    wait_s: Wait = 20.0             # the server answers Nothing after this long


@message("file.list")
@dataclass(frozen=True, slots=True)
class ListFiles:
    """Results of a job that can be fetched. Answer: Files."""
    job: JobId


@message("file.get")
@dataclass(frozen=True, slots=True)
class GetFile:
    """A piece of a result. Answer: FileChunk, shorter at the end of the file."""
    job: JobId
    path: Path
    offset: Count = 0
    length: Annotated[int, Integer(1, MAX_CHUNK_BYTES)] = MAX_CHUNK_BYTES


@message("render.splats")
@dataclass(frozen=True, slots=True)
class RenderSplats:
    """Draw the newest splats of a job. Answer: Picture.

    At rest, `viewmat` already includes the object's transform: rest world to camera. On a deformed surface it is world
    to camera, rigid; the objects' transforms are in `matrices`. Arrays go along the first time; later the pose's name
    does, until the answer is not_ready.
    """
    job: JobId
    viewmat: Matrix4
    K: Matrix3
    width: PictureSide
    height: PictureSide
    background: Annotated[tuple[float, ...], List(Number(0.0, 1.0), 3, 3)] = (0.0, 0.0, 0.0)
    surface: Annotated[str, Text(64, "([0-9a-f]{64})?")] = ""   # blob of a surface.npz (surfaces.py), "" for at rest
    pose: Annotated[str, Text(64, "([0-9a-f]{64})?")] = ""      # name of its pose: surfaces.Pose.hash
    positions: Annotated[np.ndarray | None, Array("float32", (None, 3), optional=True)] = None
    matrices: Annotated[np.ndarray | None, Array("float32", (None, 4, 4), optional=True)] = None

    def check(self):
        if bool(self.surface) != bool(self.pose):
            raise bad("render.splats", "a surface needs a pose, and a pose its surface")
        if (self.positions is None) != (self.matrices is None) or (self.positions is not None and not self.surface):
            raise bad("render.splats", "positions and matrices come together, and with their surface")


@message("log.tail")
@dataclass(frozen=True, slots=True)
class TailLog:
    """The last lines of a job's log, or of the server's own for job "". Answer: Log."""
    job: Annotated[str, Text(MAX_JOB_ID, "([0-9a-z][0-9a-z-]*)?")] = ""
    lines: Annotated[int, Integer(1, MAX_LOG_LINES)] = 200


@message("server.stop")
@dataclass(frozen=True, slots=True)
class StopServer:
    """Save running jobs, which become "interrupted", and end the server. Answer: Ok."""


# ------------------------------------------------------------------- replies


@message("welcome", open=True)
@dataclass(frozen=True, slots=True)
class Welcome:
    protocol: Count
    version: Name                   # of the product
    build: Name
    device: Name                    # "probing" until it is known: say hello again
    capabilities: Annotated[tuple[str, ...], List(Text(MAX_NAME), MAX_CAPABILITIES)]
    jobs_dir: Sentence              # on the backend's own disk; a client of the same machine may read it


@message("blob.needs")
@dataclass(frozen=True, slots=True)
class NeedsBlobs:
    missing: Hashes
    received: Annotated[dict, Map(_HASH, _COUNT, MAX_HASHES)]   # bytes already there of missing ones begun before


@message("blob.stored")
@dataclass(frozen=True, slots=True)
class BlobStored:
    hash: Hash
    received: Count                 # bytes there: the next offset
    complete: Annotated[bool, Flag()]


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


@message("mesh.snapshot")
@dataclass(frozen=True, slots=True)
class MeshSnapshot:
    """A mesh in the world of its scene. Indices and lengths are checked: it can be handed to Blender as it is."""
    job: JobId
    seq: Count
    kind: Annotated[str, Choice(MESH_KINDS)]
    iteration: Count
    triangles_full: Count           # before its level of detail was lowered
    verts: Annotated[np.ndarray, Array("float32", (None, 3))]
    faces: Annotated[np.ndarray, Array("int32", (None, 3))]
    colors: Annotated[np.ndarray, Array("uint8", (None, 3))]   # sRGB, one for each vertex

    def check(self):
        if len(self.colors) != len(self.verts):
            raise bad("mesh.snapshot", f"{len(self.colors)} colours for {len(self.verts)} vertices")
        if len(self.faces) and not (self.faces.min() >= 0 and self.faces.max() < len(self.verts)):
            raise bad("mesh.snapshot", f"a face points outside of the {len(self.verts)} vertices")
        if not np.isfinite(self.verts).all():
            raise bad("mesh.snapshot", "a vertex is not finite")


@message("nothing")
@dataclass(frozen=True, slots=True)
class Nothing:
    """The time to wait has passed and there is nothing new."""


@dataclass(frozen=True, slots=True)
class File:
    path: Path
    size: Count


@message("files")
@dataclass(frozen=True, slots=True)
class Files:
    files: Annotated[tuple[File, ...], List(Record(File), MAX_FILES)]


@message("file.chunk")
@dataclass(frozen=True, slots=True)
class FileChunk:
    job: JobId
    path: Path
    offset: Count
    size: Count                     # of the whole file
    data: Data


@message("picture")
@dataclass(frozen=True, slots=True)
class Picture:
    """Rows from top to bottom."""
    width: PictureSide
    height: PictureSide
    image: Annotated[np.ndarray, Array("uint8", (None, None, 4))]     # [H,W,4] sRGB and alpha
    depth: Annotated[np.ndarray, Array("float32", (None, None))]      # [H,W] along the view, world units, 0 = empty

    def check(self):
        if self.image.shape[:2] != (self.height, self.width) or self.depth.shape != (self.height, self.width):
            raise bad("picture", f"image and depth must have {self.height} rows of {self.width} pixels")


@message("log")
@dataclass(frozen=True, slots=True)
class Log:
    text: Annotated[str, Text(MAX_LOG)]


@message("ok")
@dataclass(frozen=True, slots=True)
class Ok:
    """Done; there is nothing to say about it."""


@message("error", open=True)
@dataclass(frozen=True, slots=True)
class Error:
    """A refusal: one sentence for the panel, and what to do."""
    code: Name                      # one of errors.CODES
    message: Sentence
    hint: Sentence = ""

    def to_exception(self) -> ProtocolError:
        return ProtocolError(self.code if self.code in CODES else "internal", self.message, self.hint)
