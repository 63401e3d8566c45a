# SPDX-License-Identifier: Apache-2.0
"""A reconstruction without torch, for tests: counts iterations, yields meshes, saves and resumes, dies when told to.

Settings of the job (fake.*): iterations, step_s, snapshot_every, triangles, die ("signal", "exit", "error", "memory"),
die_at, deaf (ignores requests to stop and SIGTERM), chatter (prints rubbish on stdout), held_until (a file), run (a
folder: the run that it pretends to have made).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np

from milo.backend.service.job_folder import read_request
from milo.backend.training.events import Finished, Notice, Progress, Snapshot


def sheet(triangles: int, height: float):
    """A wavy sheet: (verts, faces, colors); colours follow the position."""
    n = max(2, int((triangles / 2) ** 0.5) + 1)
    u, v = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n))
    verts = np.stack([u, v, height + 0.05 * np.sin(9 * u) * np.cos(7 * v)], -1).reshape(-1, 3).astype(np.float32)
    i = np.arange(n * n, dtype=np.int32).reshape(n, n)
    a, b, c, d = (part.ravel() for part in (i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    colors = (verts[:, [0, 1, 0]] * 255).astype(np.uint8)
    return verts, faces, colors


def run(folder: Path, device: str, should_stop):
    told = {key.removeprefix("fake."): value for key, value in read_request(folder).settings.items()}
    iterations, every = told.get("iterations", 20), told.get("snapshot_every", 5)
    checkpoint = folder / "run" / "checkpoint.txt"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    print("hello from the fake runner", flush=True)
    if told.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield Notice("This takes about as much memory as a fake needs.", device.replace("auto", "cpu"))
    for iteration in range(first + 1, iterations + 1):
        time.sleep(told.get("step_s", 0.02))
        if told.get("chatter"):
            print('{"kind": "ended", "stopped": false}', flush=True)
        if iteration == told.get("die_at"):
            die(told["die"])
        if iteration % 5 == 0:
            with open(folder / "run" / "metrics.jsonl", "a") as metrics:
                metrics.write(json.dumps({"iteration": iteration, "gaussians": 1000, "loss": 1 / iteration}) + "\n")
        yield Progress("mesh", iteration, iterations, 1 / iteration if iteration % 7 == 0 else None, 1000, 8,
                       (iterations - iteration) * 0.02, 20.0 if iteration % 10 == 0 else None)
        if iteration % every == 0:
            preview, photo = np.full((6, 8, 3), iteration, np.uint8), np.full((6, 8, 3), 200, np.uint8)
            yield Snapshot("live", iteration, *sheet(told.get("triangles", 50), float(iteration)), preview, photo)
        if should_stop() and not told.get("deaf"):
            checkpoint.write_text(str(iteration))
            yield Finished(folder, folder, {}, None, stopped=True)
            return
    yield Progress("saving", 0, 1, float("nan"), 1000, 8, None, None)
    if "run" in told:
        from milo.backend.data.ply import read_mesh

        shutil.copytree(told["run"], folder / "run", dirs_exist_ok=True)
        yield Snapshot("final", iterations, *read_mesh(folder / "run" / "mesh.ply"), None)
        yield Finished(folder / "run" / "splats.ply", folder, {}, 31.5, stopped=False)
        return
    yield Snapshot("final", iterations, *sheet(told.get("triangles", 50), float(iterations)), None)
    (folder / "run" / "pictures").mkdir(exist_ok=True)
    (folder / "run" / "pictures" / "0.png").write_bytes(b"png")
    (folder / "run" / "checkpoints").mkdir(exist_ok=True)
    (folder / "run" / "checkpoints" / "1").write_bytes(b"large")
    (folder / "run" / "splats.ply").write_bytes(bytes(range(256)) * 40)
    yield Finished(folder / "run" / "splats.ply", folder, {}, 31.5, stopped=False)


def die(how: str):
    match how:
        case "signal":
            print("about to die", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "memory":
            raise MemoryError("Unable to allocate 9 TB")
        case "error":
            raise ValueError("scene/images/a.jpg: this is not a photo. Send another one.")


def paint(files: list[Path], device: str):
    """A painter whose picture shows what it was asked: red is fx, depth is the size of the splats' files, green and
    blue are the background's, or count the vertices and triangles of a deformed surface."""
    size_on_disk = sum(file.stat().st_size for file in files)
    if size_on_disk < 10:
        os._exit(4)

    def draw(viewmat, K, size, background, deformed):
        time.sleep(0.15)
        image = np.zeros((3, *size), np.float32)
        image[0] = K[0, 0]
        image[1:] = background[1:, None, None]
        if deformed is not None:
            image[1], image[2] = len(deformed.arrays.positions) / 255, len(deformed.read_surface().faces) / 255
        depth = np.full(size, size_on_disk, np.float32)
        return image, depth, np.ones(size, np.float32), depth / 2
    return draw
