# SPDX-License-Identifier: Apache-2.0
"""Everything that the two sides say: one frozen dataclass for each message. Here the connection itself; the others
come from the module of their topic, and all can be imported from here.
"""
# ruff: noqa: F401  (imported for others)

from dataclasses import dataclass
from typing import Annotated

from .errors import CODES, ProtocolError
from .fields import MESSAGES, TYPES, Count, Name, Sentence, message
from .files import BlobStored, File, FileChunk, Files, GetFile, HaveBlobs, ListFiles, NeedsBlobs, PutBlob
from .jobs import (
    STATES,
    TASKS,
    CancelJob,
    DeleteJob,
    GetJob,
    JobInfo,
    Jobs,
    ListJobs,
    PauseJob,
    ResumeJob,
    SceneCamera,
    SceneCameras,
    SceneFile,
    SceneFiles,
    SceneOfJob,
    StartJob,
    WatchJob,
)
from .limits import MAX_CAPABILITIES, MAX_JOB_ID, MAX_LOG, MAX_LOG_LINES, MAX_NAME, PROTOCOL_VERSION
from .schema import Integer, List, Text
from .views import MESH_KINDS, MeshSnapshot, NextMesh, NextPreview, Picture, Preview, RenderSplats


@message("hello", open=True)
@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client. Answer: Welcome, or Error version_mismatch."""
    client: Name
    version: Name
    protocol: Count = PROTOCOL_VERSION


@message("welcome", open=True)
@dataclass(frozen=True, slots=True)
class Welcome:
    protocol: Count
    version: Name                   # of the product
    build: Name
    device: Name                    # "probing" until it is known: say hello again
    capabilities: Annotated[tuple[str, ...], List(Text(MAX_NAME), MAX_CAPABILITIES)]
    jobs_dir: Sentence              # on the backend's own disk; a client of the same machine may read it


@message("log.tail")
@dataclass(frozen=True, slots=True)
class TailLog:
    """The last lines of a job's log, or of the server's own for job "". Answer: Log."""
    job: Annotated[str, Text(MAX_JOB_ID, "([0-9a-z][0-9a-z-]*)?")] = ""
    lines: Annotated[int, Integer(1, MAX_LOG_LINES)] = 200


@message("log")
@dataclass(frozen=True, slots=True)
class Log:
    text: Annotated[str, Text(MAX_LOG)]


@message("server.stop")
@dataclass(frozen=True, slots=True)
class StopServer:
    """Save running jobs, which become "interrupted", and end the server. Answer: Ok."""


@message("nothing")
@dataclass(frozen=True, slots=True)
class Nothing:
    """The time to wait has passed and there is nothing new."""


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
