# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos to the backend: a list of files with their sha256, and the bytes the backend does not have yet.

All of it runs on a worker thread; requests go through the client's network thread.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..protocol.limits import MAX_CHUNK_BYTES, MAX_HASHES
from ..protocol.messages import HaveBlobs, PutBlob, SceneFile, SceneFiles
from .client import Client
from .problems import Cancelled, Problem

VIDEOS = {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp"}
PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
MODEL = {".bin", ".txt", ".ply"}  # of COLMAP, below sparse/
POINTS = {"points3d.ply", "sparse_pc.ply"}
OTHERS = {"test.txt", "cameras.json", "points.npy"}
SMALLER_COPIES = re.compile(r"images_\d+")  # of the photos in images/, as benchmark scenes carry them
READ_BYTES = 1 << 20
PUT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Blob:
    """Bytes to send, from a file or from memory."""

    hash: str
    size: int
    source: Path | bytes

    def read(self, offset: int, length: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[offset : offset + length]
        with self.source.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def blob_of(source: Path | bytes, cancelled: threading.Event) -> Blob:
    """Hash a file or bytes.

    Raises:
        Problem: the file cannot be read.
        Cancelled
    """
    if isinstance(source, bytes):
        return Blob(hashlib.sha256(source).hexdigest(), len(source), source)
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as file:
            while piece := file.read(READ_BYTES):
                if cancelled.is_set():
                    raise Cancelled
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise Problem(f"{source} cannot be read: {error.strerror}.", "Check the file, then start again.") from error
    return Blob(digest.hexdigest(), size, source)


def scene_paths(folder: Path) -> list[str]:
    """Relative POSIX paths of the files a scene folder consists of: photos, masks, cameras, points.

    Raises:
        Problem: there is no such folder, or no photos or no cameras are in it.
    """
    if not folder.is_dir():
        raise Problem(f"There is no folder {folder}.", "Choose the folder that holds the photos and their cameras.")
    paths = sorted(_wanted(folder))
    if not any(Path(path).suffix.lower() in PHOTOS for path in paths):
        raise Problem(
            f"There are no photos in {folder}.", "Choose the folder that holds images/ (JPEG, PNG, WebP, TIFF or BMP)."
        )
    cameras = [path for path in paths if path.startswith("sparse/") or path.endswith(".json")]
    if not cameras:
        raise Problem(
            f"{folder} has photos but no cameras: neither sparse/ (COLMAP) nor transforms.json.",
            "Solve the cameras first, for example with COLMAP.",
        )
    return paths


def _wanted(folder: Path) -> Iterator[str]:
    named = _point_files_named(folder)
    has_images = (folder / "images").is_dir()
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or not path.is_file():
            continue
        top = inside.parts[0]
        if has_images and len(inside.parts) > 1 and SMALLER_COPIES.fullmatch(top):
            continue
        suffix, name = path.suffix.lower(), path.name
        at_top = len(inside.parts) == 1
        if (
            suffix in PHOTOS
            or (top == "sparse" and suffix in MODEL)
            or (at_top and (name in OTHERS or name.lower() in POINTS or re.fullmatch(r"transforms\w*\.json", name)))
            or inside.as_posix() in named
        ):
            yield inside.as_posix()


def _point_files_named(folder: Path) -> set[str]:
    """Point files that a transforms file names (`ply_file_path`)."""
    named = set()
    for path in folder.glob("transforms*.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # sent as it is: the backend reads it with care and says what is wrong
        if isinstance(document, dict) and isinstance(document.get("ply_file_path"), str):
            named.add(document["ply_file_path"].removeprefix("./"))
    return named


def folder_scene(folder: Path, cancelled: threading.Event) -> tuple[SceneFiles, list[Blob]]:
    """The manifest of a scene folder, and what may have to be sent for it."""
    files, blobs = [], []
    for path in scene_paths(folder):
        blob = blob_of(folder / path, cancelled)
        files.append(SceneFile(path, blob.hash, blob.size))
        blobs.append(blob)
    return SceneFiles(tuple(files)), blobs


def photo_paths(folder: Path) -> dict[str, Path]:
    """Photos without cameras, and their masks: {path the backend is to see: file}.

    The photos are those in images/ where there is such a folder, else all below `folder`; masks are those in masks/.

    Raises:
        Problem: there is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise Problem(f"There is no folder {folder}.", "Choose the folder that holds the photos.")
    masks = folder / "masks"
    root = folder / "images" if (folder / "images").is_dir() else folder
    found = {}
    for top, name in ((root, "images"), (masks, "masks")):
        for path in sorted(top.rglob("*")) if top.is_dir() else ():
            inside = path.relative_to(top)
            hidden = any(part.startswith(".") for part in inside.parts)
            other = name == "images" and path.is_relative_to(masks)
            if path.suffix.lower() in PHOTOS and path.is_file() and not hidden and not other:
                found[f"{name}/{inside.as_posix()}"] = path
    if not any(name.startswith("images/") for name in found):
        raise Problem(f"There are no photos in {root}.", "Choose a folder with JPEG, PNG, WebP, TIFF or BMP files.")
    return found


def photo_scene(source: Path, cancelled: threading.Event) -> tuple[SceneFiles, list[Blob]]:
    """The manifest of a folder of photos, or of one video, and what may have to be sent for it."""
    paths = {f"video{source.suffix.lower()}": source} if source.is_file() else photo_paths(source)
    blobs = {name: blob_of(path, cancelled) for name, path in paths.items()}
    return SceneFiles(tuple(SceneFile(name, blob.hash, blob.size) for name, blob in blobs.items())), [*blobs.values()]


def send_blobs(
    client: Client, blobs: Iterable[Blob], progress: Callable[[int, int], None], cancelled: threading.Event
) -> None:
    """Send what the backend does not have, going on where an earlier attempt stopped.

    Args:
        progress: called with (bytes there, bytes in all) after each piece.

    Raises:
        Problem: a file changed meanwhile, or the backend or the connection failed.
        Cancelled
    """
    by_hash = {blob.hash: blob for blob in blobs}
    hashes, received = list(by_hash), {}
    missing: list[str] = []
    for start in range(0, len(hashes), MAX_HASHES):
        needs = client.request(HaveBlobs(tuple(hashes[start : start + MAX_HASHES]))).result()
        missing += needs.missing
        received |= needs.received
    total = sum(blob.size for blob in by_hash.values())
    there = total - sum(by_hash[name].size - received.get(name, 0) for name in missing)
    progress(there, total)
    for name in missing:
        blob, offset, complete = by_hash[name], received.get(name, 0), False
        while not complete:
            if cancelled.is_set():
                raise Cancelled
            piece = blob.read(offset, MAX_CHUNK_BYTES)
            if not piece and offset < blob.size:
                raise Problem(f"{blob.source} became shorter while it was being sent.", "Start again.")
            message = PutBlob(name, blob.size, offset, np.frombuffer(piece, np.uint8))
            stored = client.request(message, PUT_TIMEOUT_S).result()
            if stored.received <= offset and not stored.complete:
                raise Problem(f"{blob.source} changed while it was being sent.", "Start again.")
            there += stored.received - offset
            offset, complete = stored.received, stored.complete
            progress(there, total)
