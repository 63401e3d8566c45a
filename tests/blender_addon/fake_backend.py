# SPDX-License-Identifier: Apache-2.0
"""A backend that trains nothing: `fake_backend.py serve --home DIR --parent PID`, as the add-on calls `milo serve`.

Real where the add-on touches it: a process of its own, CURVE with ZAP, a connection file, blobs checked by hash, long
polls, jobs that survive a kill. A job is a sphere that grows with every mesh asked for. What it was asked is written to
DIR/asked.jsonl. FAKE_BACKEND=version_mismatch makes it refuse hello; FAKE_BACKEND=crash makes it end at once.
"""

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import zmq
import zmq.auth.thread

from milo.protocol import PROTOCOL_VERSION, ProtocolError, pack, unpack
from milo.protocol import messages as m
from milo.protocol.outlook import Estimate

MESHES = 5  # of a whole job; the last is the final one
RINGS = int(os.environ.get("FAKE_RINGS", "12"))
STEP_S = float(os.environ.get("FAKE_STEP_S", "0.05"))  # between meshes


def sphere(radius: float, rings: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A latitude-longitude sphere: verts [V,3] f32, faces [F,3] i32, colors [V,3] u8."""
    segments = 2 * rings
    theta = np.linspace(0.15, np.pi - 0.15, rings)[:, None]
    phi = np.linspace(0, 2 * np.pi, segments, endpoint=False)[None]
    verts = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    at = np.arange(rings * segments).reshape(rings, segments)
    a, b = at[:-1], np.roll(at[:-1], -1, 1)
    c, d = np.roll(at[1:], -1, 1), at[1:]
    faces = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
    colors = np.clip(127.5 * (verts + 1), 0, 255).astype(np.uint8)
    flat = (radius * verts).astype(np.float32).reshape(-1, 3)
    return flat, faces.astype(np.int32), colors.reshape(-1, 3)


class FakeBackend:
    def __init__(self, home: Path):
        self.home, self.mode = home, os.environ.get("FAKE_BACKEND", "")
        self.blobs = home / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.state_file = home / "jobs.json"
        self.jobs = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        for job in self.jobs.values():
            if job["state"] in ("queued", "running"):
                self.change(job, state="interrupted")
        self.waiting = []  # (identity, id, message, until)

    def change(self, job: dict, **fields) -> None:
        job.update(fields, revision=job["revision"] + 1)
        part = self.state_file.with_suffix(".part")
        part.write_text(json.dumps(self.jobs))
        part.replace(self.state_file)

    def info(self, job: dict) -> m.JobInfo:
        return m.JobInfo(**{key: value for key, value in job.items() if key in m.JobInfo.__dataclass_fields__})

    def answer(self, message):
        """The reply, or None while a long poll has to wait."""
        with (self.home / "asked.jsonl").open("a") as log:
            log.write(json.dumps([type(message).__name__, repr(message)[:4000]]) + "\n")
        kind = type(message).__name__
        if kind == "Hello":
            if self.mode == "version_mismatch":
                return m.Error("version_mismatch", "The backend speaks version 99.", "Update the extension.")
            return m.Welcome(PROTOCOL_VERSION, "0.0.0", "fake", "cpu, fake", ("splats",), str(self.home))
        if kind == "HaveBlobs":
            return self.needs(message.hashes)
        if kind == "PutBlob":
            return self.put(message)
        if kind == "StartJob":
            return self.start(message)
        if kind == "StopServer":
            return m.Ok()
        if kind == "EstimateJob":
            return Estimate(170.0, 640 << 20, float(8 << 30), message.width, message.height, False)
        if kind == "TailLog":
            return m.Log("nothing")
        if kind == "ListJobs":
            return m.Jobs(tuple(map(self.info, self.jobs.values())))
        job = self.jobs.get(message.job)
        if job is None:
            raise ProtocolError("unknown_job", f"There is no job {message.job}.", "It may have been deleted.")
        return getattr(self, "on_" + kind)(job, message)

    def needs(self, hashes):
        missing = tuple(h for h in hashes if not (self.blobs / h).exists())
        parts = {h: self.blobs / (h + ".part") for h in missing}
        return m.NeedsBlobs(missing, {h: part.stat().st_size for h, part in parts.items() if part.exists()})

    def put(self, message):
        part = self.blobs / (message.hash + ".part")
        there = part.stat().st_size if part.exists() else 0
        if message.offset != there:
            return m.BlobStored(message.hash, there, False)
        with part.open("ab") as file:
            file.write(message.data)
        there += len(message.data)
        if there < message.size:
            return m.BlobStored(message.hash, there, False)
        if hashlib.sha256(part.read_bytes()).hexdigest() != message.hash:
            part.unlink()
            raise ProtocolError("bad_request", "The file does not have its hash.")
        part.rename(self.blobs / message.hash)
        return m.BlobStored(message.hash, there, True)

    def start(self, message):
        items = message.scene.files if isinstance(message.scene, m.SceneFiles) else message.scene.cameras
        absent = [item.hash for item in items if not (self.blobs / item.hash).exists()]
        if absent:
            raise ProtocolError("bad_request", f"{len(absent)} files are not here.")
        if "unknown" in message.settings:
            raise ProtocolError("bad_request", "There is no setting unknown.", "Correct it under Advanced.")
        number = len(self.jobs) + 1
        job = dict(job=f"job-{number}", name=message.name, state="queued", revision=0, created=time.time(), stage="",
                   iterations=100 * MESHES, iteration=0, mesh_seq=0,
                   note="This takes about 0.6 GiB of memory; this machine has 8.0 GiB free.")
        self.jobs[job["job"]] = job
        self.change(job, state="running", stage="splats")
        return self.info(job)

    def on_GetJob(self, job, message):
        return self.info(job)

    def on_WatchJob(self, job, message):
        return self.info(job) if job["revision"] > message.after else None

    def on_DeleteJob(self, job, message):
        if job["name"] == "kept":
            raise ProtocolError("not_ready", "Its finishing is under way.", "Cancel that first.")
        self.change(job, state="cancelled")
        return self.info(self.jobs.pop(job["job"]))

    def on_PauseJob(self, job, message):
        self.change(job, state="paused")
        return self.info(job)

    def on_CancelJob(self, job, message):
        self.change(job, state="cancelled")
        return self.info(job)

    def on_ResumeJob(self, job, message):
        self.change(job, state="running")
        return self.info(job)

    def on_NextMesh(self, job, message):
        finished = job["state"] == "finished"
        if job["state"] == "running" and message.after >= job["mesh_seq"]:
            if time.monotonic() < job.get("_next", 0.0):
                return None
            seq = job["mesh_seq"] + 1
            finished = seq >= MESHES
            job["_next"] = time.monotonic() + STEP_S
            self.change(job, mesh_seq=seq, iteration=100 * seq, vertices=100, gaussians=1000, loss=0.2 / seq,
                        psnr=18.0 + 2 * seq,
                        eta_s=5.0 * (MESHES - seq), stage="saving" if finished else "mesh",
                        state="finished" if finished else "running")
        if job["mesh_seq"] <= message.after:
            return None if job["state"] == "running" else m.Nothing()
        seq = job["mesh_seq"]
        verts, faces, colors = sphere(0.5 + 0.1 * seq, RINGS + 4 * seq)
        full = len(faces)
        if 0 < message.max_triangles < full:
            verts, faces, colors = sphere(0.5 + 0.1 * seq, 6)
        kind = "final" if finished else "provisional" if seq == 1 else "live"
        return m.MeshSnapshot(job["job"], seq, kind, 100 * seq, full, verts, faces, colors)

    def on_NextPreview(self, job, message):
        if job["mesh_seq"] <= message.after:
            return m.Nothing()
        photo = np.zeros((60, 80, 3), np.uint8)
        photo[..., 0], photo[..., 2] = np.linspace(0, 255, 80), np.linspace(255, 0, 60)[:, None]
        return m.Preview(job["job"], job["mesh_seq"], job["iteration"], photo // (1 + MESHES - job["mesh_seq"]), photo)

    def on_GetFile(self, job, message):
        raise ProtocolError("bad_request", f"This job has no result {message.path}.")

    def on_RenderSplats(self, job, message):
        (self.home / "picture.json").write_text(
            json.dumps({"viewmat": message.viewmat, "K": message.K, "size": [message.width, message.height]}))
        image = np.zeros((message.height, message.width, 4), np.uint8)
        image[..., 3] = 255
        image[0, :, 0] = 200  # the top row is red
        return m.Picture(message.width, message.height, image, np.ones(image.shape[:2], np.float32))

    def serve(self, socket: zmq.Socket) -> None:
        while True:
            if socket.poll(20):
                identity, *frames = socket.recv_multipart()
                number = None
                try:
                    number, message = unpack(frames)
                    reply = self.answer(message)
                except ProtocolError as error:
                    number = error.request_id if number is None else number
                    message, reply = None, m.Error(error.code, error.message, error.hint)
                if reply is None:
                    self.waiting.append((identity, number, message, time.monotonic() + message.wait_s))
                else:
                    socket.send_multipart([identity, *pack(reply, number or 0)])
                if isinstance(message, m.StopServer):
                    return
            again, self.waiting = self.waiting, []
            for identity, number, message, until in again:
                reply = self.answer(message)
                if reply is None and time.monotonic() > until:
                    reply = m.Nothing()
                if reply is None:
                    self.waiting.append((identity, number, message, until))
                else:
                    socket.send_multipart([identity, *pack(reply, number)])


def end_with(parent: int) -> None:
    while True:
        time.sleep(0.2)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args()
    if os.environ.get("FAKE_BACKEND") == "crash":
        sys.exit("There is no native code for this machine.")
    if options.parent is not None:
        threading.Thread(target=end_with, args=(options.parent,), daemon=True).start()

    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    context = zmq.Context()
    keys = zmq.auth.thread.ThreadAuthenticator(context)
    keys.start()
    keys.configure_curve_callback(credentials_provider=OnlyOne(client[0]))
    socket = context.socket(zmq.ROUTER)
    socket.curve_publickey, socket.curve_secretkey = server
    socket.curve_server = True
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    text = json.dumps({
        "format": 1, "address": f"tcp://127.0.0.1:{port}", "server_key": server[0].decode(),
        "client_public": client[0].decode(), "client_secret": client[1].decode(), "pid": os.getpid(),
        "version": "0.0.0",
    })
    options.home.mkdir(parents=True, exist_ok=True)
    part = options.home / "connection.part"
    part.touch(0o600)
    part.write_text(text)
    part.replace(options.home / "connection.json")
    print(f"ready tcp://127.0.0.1:{port}", flush=True)
    try:
        FakeBackend(options.home).serve(socket)
    finally:
        (options.home / "connection.json").unlink(missing_ok=True)
        context.destroy(linger=200)


class OnlyOne:
    """Lets in one client key."""

    def __init__(self, public: bytes):
        self.public = public

    def callback(self, domain: str, key: bytes) -> bool:
        return key == self.public


if __name__ == "__main__":
    main()
