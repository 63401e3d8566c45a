# SPDX-License-Identifier: Apache-2.0
"""COLMAP sparse models, binary and text (spec training.md, 1.2). Reads only: nothing is written into the scene.

The model is `sparse/`, or the sub-folder of `sparse/` with the most registered images. The principal point is kept,
image names keep their sub-folders. Models with lens distortion are refused unless all distortion parameters are 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cameras import checked_K, pinhole, rigid_viewmat
from .errors import CameraModelError, ImageError, PointsError, PoseError, SceneError, listed
from .masks import find_mask
from .posed import PosedImage, PosedImages, check_points, read_held_out

# model id -> (name, number of parameters, number of leading pinhole parameters; 0: not a pinhole even undistorted)
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", 3, 3),
    1: ("PINHOLE", 4, 4),
    2: ("SIMPLE_RADIAL", 4, 3),
    3: ("RADIAL", 5, 3),
    4: ("OPENCV", 8, 4),
    5: ("OPENCV_FISHEYE", 8, 0),
    6: ("FULL_OPENCV", 12, 4),
    7: ("FOV", 5, 0),
    8: ("SIMPLE_RADIAL_FISHEYE", 4, 0),
    9: ("RADIAL_FISHEYE", 5, 0),
    10: ("THIN_PRISM_FISHEYE", 12, 0),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16, 0),
}
MODEL_IDS = {name: model for model, (name, _, _) in CAMERA_MODELS.items()}


@dataclass(frozen=True)
class ColmapCamera:
    """A camera record: model name, image size in pixels, parameters in COLMAP's order."""

    id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """An image record: world-to-camera rotation (w, x, y, z) and translation, camera id, name."""

    id: int
    quat: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    camera: int
    name: str


def read_colmap(root: Path, images: str = "images", masks: str = "masks") -> PosedImages:
    """The posed images and points of the COLMAP model in `root`/sparse; photos in `root`/`images`.

    Raises:
        SceneError: a file is missing or damaged, a camera is distorted, images are missing, a pose or point is not
            finite, or there are no points.
    """
    model = find_model(root)
    cameras_file, images_file, points_file = (model_file(model, part) for part in ("cameras", "images", "points3D"))
    if cameras_file is None or images_file is None:
        raise SceneError(model, "cameras.bin and images.bin (or .txt) are missing", "Export the COLMAP model again")
    if points_file is None:
        raise PointsError(model, "points3D.bin (or .txt) is missing", "Export the COLMAP model again, with its points")
    cameras, records = read_cameras(cameras_file), read_images(images_file)
    if not records:
        raise SceneError(images_file, "the model has no registered images", "Solve the cameras again")

    folder = root / images
    missing = sorted(record.name for record in records if not (folder / record.name).is_file())
    if missing:
        raise ImageError(
            folder,
            f"{len(missing)} of {len(records)} images of the COLMAP model are missing: {listed(missing)}",
            "Put them back, or remove them from the model",
        )
    matrices = {id: intrinsics(cameras_file, camera) for id, camera in cameras.items()}
    posed = []
    for record in sorted(records, key=lambda record: record.name):
        if record.camera not in cameras:
            raise SceneError(images_file, f"{record.name} names camera {record.camera}, which {cameras_file.name} "
                             "does not hold", "Export the COLMAP model again")
        camera = cameras[record.camera]
        posed.append(
            PosedImage(
                name=record.name,
                path=folder / record.name,
                viewmat=rigid_viewmat(str(images_file), record.name, viewmat_of(images_file, record)),
                K=matrices[record.camera],
                width=camera.width,
                height=camera.height,
                mask=find_mask(root / masks, record.name),
            )
        )
    points, colors = read_points(points_file)
    check_points(points_file, points)
    return PosedImages(posed, points, colors, model, read_held_out(model / "test.txt", posed), _choice(root, model))


def find_model(root: Path) -> Path:
    """The folder of the largest model (most registered images) in `root`/sparse."""
    counts = _models(root)
    return max(counts, key=counts.__getitem__)


def _models(root: Path) -> dict[Path, int]:
    """The folders of all models in `root`/sparse, with their registered images."""
    sparse = root / "sparse"
    models = [folder for folder in [sparse, *sorted(sparse.iterdir())] if model_file(folder, "images")]
    if not models:
        raise SceneError(sparse, "there is no COLMAP model (images.bin or images.txt) in it", "Solve the cameras first")
    return {folder: count_images(model_file(folder, "images")) for folder in models}


def _choice(root: Path, model: Path) -> tuple[str, ...]:
    """What to say where `model` was taken from several."""
    counts = _models(root)
    others = [f"{folder.relative_to(root).as_posix()} ({count})" for folder, count in counts.items() if folder != model]
    if not others:
        return ()
    return (f"Of {len(counts)} COLMAP models the largest is taken, {model.relative_to(root).as_posix()} with "
            f"{counts[model]} images; not {', '.join(others)}.",)


def model_file(folder: Path, part: str) -> Path | None:
    """`part`.bin, else `part`.txt, else None."""
    return next((path for path in (folder / f"{part}.bin", folder / f"{part}.txt") if path.is_file()), None)


def count_images(path: Path) -> int:
    """The number of registered images, from the header alone where the file is binary."""
    if path.suffix == ".txt":
        return len(read_images(path))
    with path.open("rb") as file:
        header = file.read(8)
    return struct.unpack("<Q", header)[0] if len(header) == 8 else 0


def intrinsics(where: Path, camera: ColmapCamera) -> np.ndarray:
    """K [3, 3] of an undistorted pinhole.

    Raises:
        CameraModelError: the camera has lens distortion.
    """
    _, _, leading = CAMERA_MODELS[MODEL_IDS[camera.model]]
    if leading == 0 or any(camera.params[leading:]):
        raise CameraModelError(
            where,
            f"camera {camera.id} is {camera.model} (lens distortion)",
            "MILo needs undistorted photos: run `milo undistort` on the scene",
        )
    p = camera.params
    K = pinhole(p[0], p[0], p[1], p[2]) if leading == 3 else pinhole(*p[:4])
    return checked_K(str(where), f"camera {camera.id}", K, camera.width, camera.height)


def viewmat_of(where: Path, record: ColmapImage) -> np.ndarray:
    """World-to-camera [4, 4] float64 of an image record."""
    quat, translation = np.array(record.quat), np.array(record.translation)
    norm = np.linalg.norm(quat)
    if not np.isfinite([*quat, *translation]).all() or norm == 0:
        raise PoseError(where, f"the pose of {record.name} is not finite (NaN or infinity)",
                        "Solve the cameras again, or leave this image out")
    w, x, y, z = quat / norm
    viewmat = np.eye(4)
    viewmat[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    viewmat[:3, 3] = translation
    return viewmat


# ---- records -------------------------------------------------------------------------------------------------------


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """The cameras of cameras.bin or cameras.txt, by id."""
    records = _text_cameras(path) if path.suffix == ".txt" else _binary_cameras(path)
    return {camera.id: camera for camera in records}


def read_images(path: Path) -> list[ColmapImage]:
    """The images of images.bin or images.txt; their 2D points are skipped."""
    return list(_text_images(path) if path.suffix == ".txt" else _binary_images(path))


def read_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 3] float64 and colors [P, 3] uint8 of points3D.bin or points3D.txt; tracks are skipped."""
    records = list(_text_points(path) if path.suffix == ".txt" else _binary_points(path))
    points = np.array([record[:3] for record in records], np.float64).reshape(-1, 3)
    colors = np.array([record[3:] for record in records], np.uint8).reshape(-1, 3)
    return points, colors


class _Reader:
    """A cursor over a binary file that turns an early end into a clear error."""

    def __init__(self, path: Path):
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, record: struct.Struct) -> tuple:
        try:
            values = record.unpack_from(self.data, self.at)
        except struct.error:
            raise self.truncated() from None
        self.at += record.size
        return values

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.truncated()
        text = self.data[self.at : end].decode("utf-8", "surrogateescape")
        self.at = end + 1
        return text

    def skip(self, size: int) -> None:
        if self.at + size > len(self.data):
            raise self.truncated()
        self.at += size

    def truncated(self) -> SceneError:
        return SceneError(self.path, "the file is truncated or damaged", "Copy it again, or export the model again")


_COUNT, _CAMERA = struct.Struct("<Q"), struct.Struct("<iiQQ")
_IMAGE, _POINT = struct.Struct("<i4d3di"), struct.Struct("<Q3d3BdQ")


def _binary_cameras(path: Path) -> Iterator[ColmapCamera]:
    file = _Reader(path)
    for _ in range(file.take(_COUNT)[0]):
        id, model, width, height = file.take(_CAMERA)
        if model not in CAMERA_MODELS:
            raise CameraModelError(path, f"camera {id} has the unknown model {model}", "Use a PINHOLE camera")
        name, count, _ = CAMERA_MODELS[model]
        yield ColmapCamera(id, name, width, height, file.take(struct.Struct(f"<{count}d")))


def _binary_images(path: Path) -> Iterator[ColmapImage]:
    file = _Reader(path)
    for _ in range(file.take(_COUNT)[0]):
        id, *pose, camera = file.take(_IMAGE)
        name = file.text()
        file.skip(24 * file.take(_COUNT)[0])
        yield ColmapImage(id, tuple(pose[:4]), tuple(pose[4:]), camera, name)


def _binary_points(path: Path) -> Iterator[tuple]:
    file = _Reader(path)
    for _ in range(file.take(_COUNT)[0]):
        _, x, y, z, red, green, blue, _, track = file.take(_POINT)
        file.skip(8 * track)
        yield x, y, z, red, green, blue


def _lines(path: Path) -> list[str]:
    # Names of files are bytes that need not be UTF-8; as in binary models.
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _damaged_line(path: Path, line: str) -> SceneError:
    return SceneError(path, f"this line cannot be read: {line[:60]!r}", "Export the COLMAP model again")


def _text_cameras(path: Path) -> Iterator[ColmapCamera]:
    for line in filter(str.strip, _lines(path)):
        try:
            id, model, width, height, *params = line.split()
            camera = ColmapCamera(int(id), model, int(width), int(height), tuple(map(float, params)))
        except ValueError:
            raise _damaged_line(path, line) from None
        if model not in MODEL_IDS:
            raise CameraModelError(path, f"camera {id} has the unknown model {model}", "Use a PINHOLE camera")
        if len(params) != CAMERA_MODELS[MODEL_IDS[model]][1]:
            raise _damaged_line(path, line)
        yield camera


def _text_images(path: Path) -> Iterator[ColmapImage]:
    lines = iter(_lines(path))
    for line in lines:
        if not line.strip():
            continue
        try:
            id, *pose, camera, name = line.strip().split(maxsplit=9)
            quat, translation = tuple(map(float, pose[:4])), tuple(map(float, pose[4:]))
            yield ColmapImage(int(id), quat, translation, int(camera), name)
        except ValueError:
            raise _damaged_line(path, line) from None
        next(lines, None)  # the image's 2D points: one line, which may be empty


def _text_points(path: Path) -> Iterator[tuple]:
    for line in filter(str.strip, _lines(path)):
        try:
            _, x, y, z, red, green, blue, _ = line.split()[:8]
            yield float(x), float(y), float(z), int(red), int(green), int(blue)
        except ValueError:
            raise _damaged_line(path, line) from None
