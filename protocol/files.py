# SPDX-License-Identifier: Apache-2.0
"""How files go up (blobs, by their hash) and results come down, piece by piece."""

from dataclasses import dataclass
from typing import Annotated

from .errors import bad
from .fields import COUNT, HASH, BlobSize, Count, Data, Hash, Hashes, JobId, Path, message
from .limits import MAX_CHUNK_BYTES, MAX_FILES, MAX_HASHES
from .schema import Flag, Integer, List, Map, Record


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


@message("blob.needs")
@dataclass(frozen=True, slots=True)
class NeedsBlobs:
    missing: Hashes
    received: Annotated[dict, Map(HASH, COUNT, MAX_HASHES)]   # bytes already there of missing ones begun before


@message("blob.stored")
@dataclass(frozen=True, slots=True)
class BlobStored:
    hash: Hash
    received: Count                 # bytes there: the next offset
    complete: Annotated[bool, Flag()]


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
