# SPDX-License-Identifier: Apache-2.0
"""Splats that a .blend keeps: which files to fetch, and how to give them back to a backend that has them no more."""

from dataclasses import dataclass
from typing import Annotated

from .errors import bad
from .fields import JobId, Name, message
from .jobs import SceneFile
from .schema import Choice, List, Record

FORMATS = ("spz", "ply")
# In the folder of a run: the splats, the mesh that they follow, the configuration, how they are drawn, and from where
# the photos were taken.
STORED = ("splats.spz", "splats.ply", "mesh.ply", "config.json", "run.json", "cameras.json")


@message("splats.files")
@dataclass(frozen=True, slots=True)
class SplatFiles:
    """What shows the splats of a finished job without it, below run/; an SPZ is made when it is asked for. Answer:
    Files, to be fetched by file.get."""
    job: JobId
    format: Annotated[str, Choice(FORMATS)] = "spz"


@message("job.restore")
@dataclass(frozen=True, slots=True)
class RestoreJob:
    """Take the splats of a job back under its own id, from blobs that are all there. Answer: JobInfo, finished; a job
    that is there stays as it is."""
    job: JobId
    name: Name
    files: Annotated[tuple[SceneFile, ...], List(Record(SceneFile), len(STORED), 1)]

    def check(self):
        names = [file.path for file in self.files]
        if len(set(names)) < len(names) or not set(names) <= set(STORED):
            raise bad("job.restore", f"the files may be {', '.join(STORED)}, each once")
        if ("splats.spz" in names) == ("splats.ply" in names):
            raise bad("job.restore", "there must be one file of splats")
