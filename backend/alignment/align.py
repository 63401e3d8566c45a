# SPDX-License-Identifier: Apache-2.0
"""From photos or a video to a scene folder that `milo reconstruct` reads."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from milo.backend.data.coverage import measure_coverage
from milo.backend.data.photo_files import find_photos, is_video, videos_in
from milo.backend.data.photo_report import PhotoReport, as_text, judge, measure_photos
from milo.backend.data.video import extract_frames

from .child import Stopped, run_solver
from .events import Aligned, AlignProgress
from .models import SolvedModel, consistent_part, read_model, read_solution
from .options import AlignError, AlignOptions
from .orientation import Frame, choose_frame
from .prepare import prepare
from .undistort import check_output, move_scene, undistorted
from .work_folder import WorkFolder

FORMAT = 1
FEWEST = 3


def align(source: Path, output: Path, options: AlignOptions | None = None, *, masks: Path | None = None,
          should_stop: Callable[[], bool] = lambda: False) -> Iterator[AlignProgress | Aligned]:
    """Solve the cameras of photos and write them as a scene.

    Args:
        source: a folder of photos (images/ in it, or the folder itself), or a video, or a folder with one video.
        output: the scene's folder; made if it is not there. What was begun in it goes on.
        masks: folder of masks; masks/ beside the photos if None. Photos with alpha bring their own.
        should_stop: asked several times a second; the work ends within two seconds.

    Yields:
        AlignProgress, and Aligned at the end.

    Raises:
        SceneError: photos cannot be read, or no cameras were found; photos.json tells about the photos all the same.
    """
    options = options or AlignOptions()
    check_output(source, output)
    folder = WorkFolder(output / ".align")
    folder.path.mkdir(parents=True, exist_ok=True)
    clock = _Clock()
    try:
        for event in _work(Path(source), output, folder, options, masks, should_stop):
            if isinstance(event, AlignProgress):
                clock.enter(event.stage)
                yield event
            else:
                solution = read_solution(folder.solution)
                shutil.rmtree(folder.path)
                yield Aligned(output, event, clock.seconds(), solution=solution)
    except Stopped:
        yield Aligned(None, None, clock.seconds(), stopped=True)


def _work(source: Path, output: Path, folder: WorkFolder, options: AlignOptions, masks: Path | None,
          should_stop) -> Iterator[AlignProgress | PhotoReport]:
    photos, one_camera = yield from _photos(source, folder, options, masks, should_stop)
    figures = []
    for figure in measure_photos(photos, should_stop):
        figures.append(figure)
        yield AlignProgress("photos", len(figures), len(photos))
    if len(figures) < len(photos):
        raise Stopped
    write_report(output, judge(figures))
    readable = {figure.name for figure in figures if figure.width}
    usable = [photo for photo in photos if photo.name in readable]
    if len(usable) < FEWEST:
        raise AlignError(source, f"there are {len(usable)} readable photos; an alignment needs at least {FEWEST}",
                         "Take photos from all around, a step of 10 to 15 degrees apart")
    names = prepare(usable, folder, options, options.one_camera if options.one_camera is not None else one_camera,
                    should_stop)
    if not folder.is_solved:
        shutil.rmtree(folder.models, ignore_errors=True)
        yield from run_solver("solve", folder, should_stop)
    models = _models(folder)
    original = dict(zip(names, (photo.name for photo in usable)))
    if not models:
        report = judge(figures, registered=set())
        write_report(output, report)
        raise AlignError(source, "no cameras were found: the photos could not be connected with each other",
                         "See photos.txt beside it; photos need texture, sharpness and much overlap")
    best = models[0]
    frame = choose_frame(best.viewmats, best.points, options.seed)
    files = {name: [str(folder.images / name), str(mask) if (mask := folder.masks / f"{name}.png").is_file() else None]
             for name in best.names}
    yield from undistorted(folder, folder.models / str(best.number), files, frame.similarity, options.max_points,
                           should_stop)
    registered = {original[name] for name in best.names}
    coverage = measure_coverage([original[name] for name in best.names], moved(best.viewmats, frame),
                                best.shared_points())
    report = judge(figures, registered, coverage, tuple(len(model.names) for model in models))
    _finish(folder, output, best, frame, report, len(photos))
    yield report


def _photos(source: Path, folder: WorkFolder, options: AlignOptions, masks: Path | None, should_stop):
    """The photos, and whether one camera took them all (None: not known)."""
    videos = [source] if is_video(source) else list(videos_in(source)) if source.is_dir() else []
    if not videos or (source.is_dir() and _has_photos(source)):
        return find_photos(source, masks), None
    if len(videos) > 1:
        raise AlignError(source, f"there are {len(videos)} videos in it", "Give one of them")
    frames, done = folder.path / "frames", folder.path / "frames.json"
    wanted = {"video": str(videos[0].resolve()), "frames": options.frames}
    if not done.is_file() or json.loads(done.read_text("utf-8")) != wanted:
        shutil.rmtree(frames, ignore_errors=True)
        for seen, total in extract_frames(videos[0], frames, options.frames, should_stop):
            yield AlignProgress("frames", seen, total)
        if should_stop():
            raise Stopped
        done.write_text(json.dumps(wanted), encoding="utf-8")
    return find_photos(frames, masks), True


def _has_photos(folder: Path) -> bool:
    try:
        return bool(find_photos(folder))
    except ValueError:
        return False


def _models(folder: WorkFolder) -> list[SolvedModel]:
    """The parts that hold together, largest first."""
    solved = [read_model(folder.model_arrays(number), number) for number in folder.read_solution()["models"]]
    parts = [consistent_part(model) for model in solved]
    found = [part for part in parts if part is not None and len(part.names) >= FEWEST]
    return sorted(found, key=lambda part: (-len(part.names), part.number))


def moved(viewmats: np.ndarray, frame: Frame) -> np.ndarray:
    """World-to-camera [C, 3, 4] in the frame; camera space keeps the frame's scale."""
    scaled, shift = frame.similarity[:, :3], frame.similarity[:, 3]
    scale = np.cbrt(np.linalg.det(scaled))
    rotations = viewmats[:, :3, :3] @ (scaled / scale).T
    translations = scale * viewmats[:, :3, 3] - rotations @ shift
    return np.concatenate([rotations, translations[:, :, None]], axis=2)


def write_report(output: Path, report: PhotoReport) -> None:
    """photos.json and photos.txt."""
    output.mkdir(parents=True, exist_ok=True)
    report.write(output / "photos.json")
    (output / "photos.txt").write_text(as_text(report), encoding="utf-8")


def _finish(folder: WorkFolder, output: Path, model: SolvedModel, frame: Frame, report: PhotoReport,
            photos: int) -> None:
    """Move the scene to its place; sparse/ comes last and makes it a scene."""
    write_report(output, report)
    (output / "alignment.json").write_text(json.dumps({
        "format": FORMAT, "photos": photos, "registered": len(model.names), "models": list(report.models),
        "up_from": frame.up_from, "ground": frame.ground, "metres": False,
        "mean_reprojection_error": round(float(model.errors.mean()), 4) if len(model.errors) else None,
        "similarity": frame.similarity.tolist()}, indent=1), encoding="utf-8")
    move_scene(folder, output)


class _Clock:
    """Seconds by stage."""

    def __init__(self):
        self._seconds: dict[str, float] = {}
        self._stage, self._since = "", time.monotonic()

    def enter(self, stage: str) -> None:
        now = time.monotonic()
        previous = self._stage or stage
        self._seconds[previous] = self._seconds.get(previous, 0.0) + now - self._since
        self._stage, self._since = stage, now

    def seconds(self) -> dict[str, float]:
        self.enter(self._stage or "photos")
        return {stage: round(seconds, 2) for stage, seconds in self._seconds.items()}
