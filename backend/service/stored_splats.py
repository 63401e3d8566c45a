# SPDX-License-Identifier: Apache-2.0
"""Splats that a .blend keeps: made into an SPZ for it, and taken back from it (milo.protocol.stored).

    python -m milo.backend.service.stored_splats splats.ply splats.spz     or the other way

in a process of its own, so that neither its time nor its memory is the server's.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from milo.protocol import ProtocolError
from milo.protocol.messages import File, SceneFiles, StartJob
from milo.protocol.stored import STORED, RestoreJob

from .blobs import Blobs
from .children import Children
from .job_folder import link, write_request

PATIENCE_S = 600.0


def files_of(folder: Path, kind: str, children: Children) -> tuple[File, ...]:
    """The files of a job that a .blend is to keep, with its splats as `kind`, "ply" or "spz".

    Raises ProtocolError not_ready: it has no splats yet.
    """
    run = folder / "run"
    splats, mesh = run / "splats.ply", run / "mesh.ply"
    if not (splats.is_file() and mesh.is_file()):
        raise ProtocolError("not_ready", "This reconstruction is not finished.", "Wait for its end, or resume it.")
    small = run / "splats.spz"
    if kind == "spz" and not (small.is_file() and small.stat().st_mtime_ns >= splats.stat().st_mtime_ns):
        _convert(splats, small, children)
    other = {"spz": "splats.ply", "ply": "splats.spz"}[kind]
    return tuple(File(f"run/{name}", (run / name).stat().st_size)
                 for name in STORED if name != other and (run / name).is_file())


def take_back(jobs: Path, blobs: Blobs, question: RestoreJob, children: Children) -> None:
    """Make the folder of a job again; run/ comes last and makes it whole.

    Raises ProtocolError: not_ready if blobs are missing, bad_request if the splats cannot be read.
    """
    sizes = {file.hash: blobs.size(file.hash) for file in question.files}
    if None in sizes.values() or any(sizes[file.hash] != file.size for file in question.files):
        raise ProtocolError("not_ready", "Files of these splats have not been sent.", "Send them first.")
    folder = jobs / question.job
    shutil.rmtree(folder, ignore_errors=True)       # of a job that nobody knows any more
    write_request(folder, StartJob(question.name, SceneFiles(question.files)))
    building = folder / "restored"
    for file in question.files:
        link(blobs.path(file.hash), building / file.path)
    if not (building / "splats.ply").is_file():
        _convert(building / "splats.spz", building / "splats.ply", children)
    os.replace(building, folder / "run")


def _convert(source: Path, target: Path, children: Children) -> None:
    command = [sys.executable, "-m", "milo.backend.service.stored_splats", str(source), str(target)]
    done = children.run(command, PATIENCE_S)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise ProtocolError("bad_request", f"{source.name} cannot be turned into {target.name}: {last[0][-500:]}")


def convert(source: Path, target: Path) -> None:
    """Write splats as SPZ, as they are drawn, or an SPZ as PLY."""
    from milo.backend.data.ply import write_splats
    from milo.backend.data.spz import read_spz, write_spz
    from milo.backend.gaussians.files import drawn_columns

    if target.suffix == ".spz":
        write_spz(target, drawn_columns(source))
    else:
        write_splats(target, read_spz(source))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
