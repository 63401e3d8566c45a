# SPDX-License-Identifier: Apache-2.0
"""What an artist waits for: the extension's connection (without Blender), the service and a worker over real sockets.

    python -m bench.service_gpu [SCENE] [--preset default] [--set section.key=value] [--device cuda] [--json FILE]

Starts the backend as the extension does, sends the scene's photos, follows the job as the panel does (ten times a
second, live meshes of at most 200,000 triangles), then fetches the whole mesh and draws the splats. Seconds count from
the press on Reconstruct with no backend running.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import stat
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "milo_extension"
PICTURES = 20


def connection(folder: Path):
    """The extension's connection package, laid out as in its zip: beside the protocol, without what needs Blender."""
    package = folder / PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()
    for name, place in (("connection", ROOT / "blender_addon" / "connection"), ("protocol", ROOT / "protocol")):
        (package / name).symlink_to(place, target_is_directory=True)
    sys.path.insert(0, str(folder))
    return lambda name: importlib.import_module(f"{PACKAGE}.{name}")


def program(folder: Path, device: str) -> str:
    """A `milo` program that is this very installation, and serves on the device."""
    path = folder / "milo"
    path.write_text(f"#!{sys.executable}\n"
                    "import os, sys\n"
                    f"os.environ['PYTHONPATH'] = {os.pathsep.join(sys.path)!r}\n"
                    f"words = ['-m', 'milo.backend.service', '--device', {device!r}, *sys.argv[2:]]\n"
                    "os.execv(sys.executable, [sys.executable, *words])\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


class Session:
    """What the extension's session does, without a window."""

    def __init__(self, folder: Path, device: str):
        self.module = connection(folder)
        self.messages = self.module("protocol.messages")
        self.start = time.perf_counter()
        self.backend = self.module("connection.backend").Backend("bench", lambda: False)
        self.backend.start(program(folder, device), folder / "home")
        self.events: dict[str, float] = {}
        self.wait_until(lambda: self.backend.state == "ready", 60, "the backend answers")

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def note(self, what: str) -> None:
        """Say once when this happened."""
        if what not in self.events:
            self.events[what] = self.seconds()
            print(f"{self.events[what]:8.2f} s  {what}", flush=True)

    def wait_until(self, condition, limit_s: float, what: str) -> None:
        """Poll as the extension's timer does; noted when it has come true."""
        end = time.monotonic() + limit_s
        while not condition():
            self.backend.step()
            if self.backend.problem or time.monotonic() > end:
                raise RuntimeError(f"{what}: {self.backend.problem or f'not within {limit_s:.0f} s'}")
            time.sleep(0.02)
        self.note(what)

    def ask(self, message, timeout_s: float = 60.0):
        return self.backend.client.request(message, timeout_s).result(timeout_s + 5)

    def send(self, scene: Path, presets: tuple[str, ...], settings: dict) -> str:
        """Start the job; its id."""
        jobs = self.module("connection.job_start")
        start = jobs.JobStart(self.backend.client, jobs.Reconstruction(scene.name, presets, settings, folder=scene))
        self.wait_until(lambda: start.done, 120, "photos are sent, the job is queued")
        if start.problem:
            raise RuntimeError(f"{start.problem.message} {start.problem.hint}")
        return start.result.job

    def follow(self, job: str, limit_s: float):
        """Watch the job to its end; (its last info, its last mesh, kinds of the meshes that came)."""
        watch = self.module("connection.watch").Watch(self.backend.client, job, live=True, max_triangles=200_000)
        meshes, stage, end = [], "", time.monotonic() + limit_s
        while not watch.complete:
            watch.keep_going()
            self.backend.step()
            if watch.info and watch.info.stage not in ("", stage):
                stage = watch.info.stage
                self.note(f"stage {stage}")
            if watch.info and watch.info.note:
                self.note(f"on {watch.info.device}: {watch.info.note}")
            if watch.mesh and (not meshes or watch.mesh.seq != meshes[-1].seq):
                meshes.append(watch.mesh)
                self.note(f"first {watch.mesh.kind} mesh")
            if time.monotonic() > end:
                raise RuntimeError(f"the job has not ended within {limit_s:.0f} s: {watch.info}")
            time.sleep(0.1)
        self.note(f"{watch.info.state}; the whole mesh is here")
        return watch.info, watch.mesh, [mesh.kind for mesh in meshes]

    def draw_splats(self, job: str, camera) -> tuple[float, float, float]:
        """Milliseconds of the first picture, which starts the process that draws, and of one more; share drawn on."""
        message = self.messages.RenderSplats(job, tuple(camera.viewmat.flatten().tolist()),
                                             tuple(camera.K.flatten().tolist()), camera.width, camera.height)
        times = []
        for _ in range(PICTURES + 1):
            before = time.perf_counter()
            picture = self.ask(message)
            times.append(1e3 * (time.perf_counter() - before))
        self.note("splats drawn")
        return times[0], statistics.median(times[1:]), float((picture.image[..., 3] > 127).mean())

    def close(self) -> None:
        self.backend.stop()
        self.wait_until(lambda: self.backend.state == "stopped", 60, "the backend has ended")


def run(scene: Path, presets: tuple[str, ...], settings: dict, device: str, limit_s: float) -> dict:
    """The whole way; figures by name."""
    from milo.backend.config import load_config
    from milo.backend.data.scene import load_scene

    with tempfile.TemporaryDirectory(prefix="milo-bench-") as folder:
        session = Session(Path(folder), device)
        try:
            job = session.send(scene, presets, settings)
            info, mesh, kinds = session.follow(job, limit_s)
            if info.state != "finished" or mesh is None:
                raise RuntimeError(f"the job is {info.state}: {info.error} {info.hint}")
            camera = load_scene(scene, load_config(presets, settings).data).train[0].camera
            first_ms, next_ms, drawn = session.draw_splats(job, camera)
        finally:
            session.close()
    return {"seconds": session.events, "meshes": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            "triangles": len(mesh.faces), "psnr": info.psnr, "gaussians": info.gaussians,
            "first_picture_ms": first_ms, "picture_ms": next_ms, "picture_drawn": drawn,
            "picture_size": [camera.width, camera.height]}


def _setting(text: str) -> tuple[str, object]:
    """section.key=value, where the value is TOML or a bare word."""
    key, _, value = text.partition("=")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="?", default=ROOT / "examples" / "suzanne")
    parser.add_argument("--preset", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for the job")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    settings = dict(_setting(text) for text in args.settings)
    figures = run(args.scene, tuple(args.preset or ["default"]), settings, args.device, args.limit)
    kinds = ", ".join(f"{count} {kind}" for kind, count in figures["meshes"].items())
    width, height = figures["picture_size"]
    print(f"meshes received: {sum(figures['meshes'].values())} ({kinds}); the last has {figures['triangles']:,} "
          f"triangles, {figures['gaussians']:,} Gaussians, {figures['psnr']:.2f} dB\n"
          f"splats at {width} x {height}: first picture {figures['first_picture_ms']:.0f} ms, then "
          f"{figures['picture_ms']:.1f} ms over the socket; drawn on {figures['picture_drawn']:.0%} of the pixels")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
