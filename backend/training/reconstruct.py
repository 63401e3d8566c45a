# SPDX-License-Identifier: Apache-2.0
"""A whole reconstruction: splats, the mesh in the loop, refinement, colours, files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from milo.backend.config import Config
from milo.backend.data.ply import write_mesh
from milo.backend.data.scene import Scene
from milo.backend.extraction.methods import mesh_of, steps_ahead
from milo.backend.extraction.steps import ExtractStep
from milo.backend.gaussians.files import save_gaussians
from milo.backend.gaussians.model import Gaussians
from milo.backend.mesh.region import region_of
from milo.backend.old_settings import renewed
from milo.cuda_ext.cuda.runtime import CudaError
from milo.cuda_ext.native import native

from . import snapshots
from .checkpoint import CheckpointWriter, load_newest
from .errors import TrainingError, writing
from .events import Event, Finished, Notice, Progress, Snapshot
from .loop import Step, Training
from .memory import forecast, is_out_of_memory, out_of_memory
from .metrics import Metrics
from .run_directory import RunDirectory

LOG_INTERVAL = 10   # iterations between lines of the metrics
# What a resumed run may have otherwise: how long it goes on, and what has to be lowered when memory ran out.
MAY_CHANGE = ("schedule.iterations", "data.data_device", "model.max_gaussians", "mesh.max_points")
COST = {"splats": 1.0, "mesh": 2.5, "field": 2.5, "refine": 4.0}   # of a step, about; for the time left


def reconstruct(scene: Scene, config: Config, run_dir: str | Path, *, device: str = "cpu",
                should_stop: Callable[[], bool] = lambda: False,
                resume: bool = True) -> Iterator[Event]:
    """Photos to splats and mesh, step by step.

    Args:
        scene: posed photos and points.
        config: the whole configuration.
        run_dir: folder of the run, made if it is not there; files as in RunDirectory.
        device: where tensors live.
        should_stop: asked after each step; when it turns true a checkpoint is written and the stream ends.
        resume: go on from the newest checkpoint in the folder, if there is one; else what an earlier run has left
            there is deleted.

    Yields:
        a Notice of the memory that will be needed, a Progress after each step, Snapshots now and then, and one Finished
        at the end.

    Raises:
        TrainingError: the run cannot go on; the message says why and what to do.
    """
    return _Run(scene, config, RunDirectory(run_dir), device, should_stop, resume).events()


class _Run:
    """State of one call of `reconstruct`."""

    def __init__(self, scene: Scene, config: Config, directory: RunDirectory, device: str,
                 should_stop: Callable[[], bool], resume: bool):
        self.scene, self.config, self.directory = scene, config, directory
        self.device, self.should_stop, self.resume = device, should_stop, resume
        self.metrics = Metrics(directory)
        self.seconds: dict[str, float] = {}
        self.psnr: float | None = None
        self.vertices = 0
        self.checkpoints = CheckpointWriter(directory.checkpoints, config.run.keep_checkpoints)
        self.stage = "loading"
        self.training: Training | None = None

    def events(self) -> Iterator[Event]:
        """The stream of `reconstruct`."""
        try:
            yield from self._events()
        except Exception as error:
            if isinstance(error, CudaError) and not is_out_of_memory(error):
                raise TrainingError(str(error)) from error   # what is missing on this machine, and what to do
            if not is_out_of_memory(error):
                raise
            iteration = self.training.iteration if self.training else 0
            raise out_of_memory(self.config, self.device, self.stage, iteration,
                                self.checkpoints.saved_at) from error

    def _events(self) -> Iterator[Event]:
        torch.set_num_threads(1)   # the work is in our kernels, whose threads torch's would only hold up
        native.set_num_threads(self.config.run.threads)
        yield Notice(forecast(self.scene, self.config, self.device), self.device)
        yield Progress("loading", 0, self.config.schedule.iterations, None, 0, 0, None, None)
        self._timed("loading", self._load)
        try:
            yield from self._train()
            if not self.should_stop():
                yield from self._extract()
                return
            self._checkpoint()
            yield self._finished(stopped=True)
        finally:
            self.training.mesh.triangulation.stop()   # a thread that is still at it would hold up the end
            self.checkpoints.close()

    def _load(self) -> None:
        self.training = Training(self.scene, self.config, self.device, self._note)
        if not self.resume:
            self.directory.clear()
        state = load_newest(self.directory.checkpoints) if self.resume else None
        if state is not None:
            if state["photos"] != self._photos():
                raise TrainingError(f"The checkpoints in {self.directory.checkpoints} are of other photos. Give "
                                    "another folder for this run, or start it afresh (--fresh).")
            before = renewed(state["config"])
            changed = _differences(before, self.config.to_dict())
            if changed:
                raise TrainingError(f"The checkpoints in {self.directory.checkpoints} were made with other settings "
                                    f"({', '.join(changed)}). Give another folder, or start afresh (--fresh).")
            if before["mesh"]["max_points"] != self.config.mesh.max_points:
                state["training"]["mesh"] = {}   # pivots are chosen anew
            self.training.load_state_dict(state["training"])
            self.seconds, self.psnr = dict(state["seconds"]), state["psnr"]
            self.checkpoints.taken_at = self.checkpoints.saved_at = state["iteration"]
        self.directory.start_metrics(self.training.iteration)
        self.metrics.forget()
        self.directory.write_json("config.json", self.config.to_dict())
        self.directory.write_cameras([view.camera for view in self.scene.train])

    # -- training ----------------------------------------------------------------------------------------------------

    def _train(self) -> Iterator[Progress | Snapshot]:
        run, training, last = self.config.run, self.training, self.config.schedule.iterations
        pace = _Pace()
        while training.iteration < last and not self.should_stop():
            stage = "mesh" if training.iteration + 1 >= self.config.mesh.start_iter else "splats"
            step = self._timed(stage, training.step)
            k = step.iteration
            self.vertices = step.vertices or self.vertices
            if k % LOG_INTERVAL == 0 or k == last:
                self._log(step)
            loss = self.metrics.newest_loss()
            eta = pace.tick(COST[stage]) * self._work_left(k)
            yield Progress(stage, k, last, loss, len(training.gaussians), self.vertices, eta, self.psnr)
            if k in run.evaluate_at or k == last:
                self._timed(stage, self._evaluate)
            if k in run.provisional_at and k < self.config.mesh.start_iter:
                yield self._timed(stage, lambda: snapshots.provisional_snapshot(training))
            elif training.mesh.topology is not None and (k % run.snapshot_interval == 0 or k == last):
                yield self._timed(stage, lambda: snapshots.live_snapshot(training))
            if (run.checkpoint_interval and k % run.checkpoint_interval == 0) or k == last:
                self._checkpoint()
            self.checkpoints.check()
            pace.restart()
        self.metrics.flush()

    def _work_left(self, k: int) -> float:
        """Work after iteration k, in iterations of the splat stage."""
        last = self.config.schedule.iterations
        mesh = min(last - k, max(0, last + 1 - self.config.mesh.start_iter))
        fields, refinements = steps_ahead(self.config, len(self.scene.train), self.config.mesh.start_iter <= last)
        return (last - k - mesh) + sum(COST[kind] * count for kind, count in (
            ("mesh", mesh), ("field", fields), ("refine", refinements)))

    def _note(self, k: int, name: str) -> None:
        self.metrics.add({"iteration": k, "event": name, "gaussians": len(self.training.gaussians) if k else 0})

    def _log(self, step: Step) -> None:
        self.metrics.add_step({"iteration": step.iteration, "gaussians": len(self.training.gaussians),
                               "vertices": step.vertices, "seconds": round(sum(self.seconds.values()), 3)},
                              {"loss": step.loss, **step.terms})

    def _evaluate(self) -> None:
        self.psnr = snapshots.held_out_psnr(self.training)
        if self.psnr is not None:
            self.metrics.add({"iteration": self.training.iteration, "psnr": self.psnr})

    def _photos(self) -> list[str]:
        return [view.camera.name for view in self.scene.train]

    def _checkpoint(self) -> None:
        self.metrics.flush()
        if self.training.iteration == self.checkpoints.taken_at:
            return
        state = {"iteration": self.training.iteration, "training": self.training.state_dict(),
                 "config": self.config.to_dict(), "photos": self._photos(), "seconds": dict(self.seconds),
                 "psnr": self.psnr}
        self._timed("saving", lambda: self.checkpoints.save(state))

    # -- extraction and files ----------------------------------------------------------------------------------------

    def _extract(self) -> Iterator[Event]:
        training, gaussians = self.training, self.training.gaussians
        logits = gaussians.base_occupancy + gaussians.occupancy_shift.detach()
        extracting = mesh_of(gaussians.splats().detach(), logits, training.scene.train, self.config, training.scale,
                             training.generator)
        fields, refinements = steps_ahead(self.config, len(training.scene.train), bool(logits.any()))
        work = COST["field"] * fields + COST["refine"] * refinements
        pace, stage, steps, done = _Pace(), "refine", fields + refinements, 0
        while True:
            result = self._timed(stage, lambda: next(extracting))
            self.checkpoints.check()
            if not isinstance(result, ExtractStep):
                break
            self.vertices = result.vertices
            if steps:
                done += 1
                cost = COST["refine" if result.stage == "refine" else "field"]
                work -= cost
                eta = pace.tick(cost) * work
                # after the last step the generator extracts and colours
                stage = "colours" if done == steps else "refine"
            else:
                eta = pace.tick(1.0) * (result.iterations - result.iteration)
            yield Progress(stage, done or result.iteration, steps or result.iterations, result.loss, len(gaussians),
                           result.vertices, eta, self.psnr)
            if self.should_stop():
                yield self._finished(stopped=True)
                return
        verts, faces, colors = (tensor.cpu().numpy() for tensor in result)
        self.vertices = len(verts)
        yield Snapshot("final", training.iteration, verts, faces, colors, *snapshots.preview(training))
        yield Progress("saving", 0, 1, None, len(gaussians), len(verts), 0.0, self.psnr)
        self._timed("saving", lambda: self._write(verts, faces, colors))
        yield self._finished(stopped=False)

    def _write(self, verts, faces, colors) -> None:
        with writing(self.directory.mesh):
            save_gaussians(self.directory.splats, self._kept())
            write_mesh(self.directory.mesh, verts, faces, colors)

    def _kept(self) -> Gaussians:
        """The Gaussians to save: without those outside the region of interest, if that is wished."""
        gaussians, region = self.training.gaussians, region_of(self.config)
        if region is None or self.config.region.keep_background:
            return gaussians
        inside = region.contains(gaussians.means.detach())
        return Gaussians({name: values[inside] for name, values in gaussians.tensors().items()}, gaussians.sh_degree)

    def _finished(self, stopped: bool) -> Finished:
        self._timed("saving", self.checkpoints.wait)
        self.metrics.flush()
        seconds = {stage: round(value, 3) for stage, value in self.seconds.items()}
        self.directory.write_json("run.json", {
            "scene": self.scene.name, "scene_path": str(self.scene.path.resolve()), "stopped": stopped,
            "iteration": self.training.iteration, "psnr": self.psnr, "gaussians": len(self.training.gaussians),
            "vertices": self.vertices, "splat_near": self.training.scale.splat_near,
            "rasterizer": self.training.scale.rasterizer, "seconds": seconds,
            "delaunay_blocked_s": round(self.training.mesh.triangulation.blocked_s, 3),
            "peak_memory_bytes": peak_memory()})
        return Finished(self.directory.splats, self.directory.mesh, seconds, self.psnr, stopped)

    def _timed(self, stage: str, work: Callable):
        self.stage = stage
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _differences(before: dict, now: dict) -> list[str]:
    """Settings that shaped the training so far and differ."""
    return [f"{section}.{key}" for section in before if section not in ("format", "extract", "tsdf", "dtu", "run")
            for key, value in before[section].items()
            if now.get(section, {}).get(key) != value and f"{section}.{key}" not in MAY_CHANGE]


class _Pace:
    """Seconds per unit of work, smoothed over the last few dozen steps."""

    def __init__(self):
        self.mean: float | None = None
        self.restart()

    def restart(self) -> None:
        """Leave what came since the last tick out of the count."""
        self.start = time.perf_counter()

    def tick(self, work: float) -> float:
        """A step of so much work has ended; the smoothed duration of a unit."""
        now = time.perf_counter()
        latest = (now - self.start) / work
        self.mean = latest if self.mean is None else 0.95 * self.mean + 0.05 * latest
        self.start = now
        return self.mean


def peak_memory() -> int | None:
    """Most memory this process has held, bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None   # Windows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
