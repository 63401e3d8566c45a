# SPDX-License-Identifier: Apache-2.0
"""A COLMAP scene with a strongly distorting lens becomes one of pinholes that shows the same points."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from PIL import Image

from milo.backend.alignment.undistort import undistort_scene
from milo.backend.data.colmap import read_colmap
from milo.backend.data.errors import CameraModelError, SceneError

WIDTH, HEIGHT, FOCAL, K1 = 320, 240, 260.0, -0.25


@pytest.fixture
def distorted(made, tmp_path):
    """Dots on a ball, photographed through a lens that bends: each dot is where the model projects it."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    points /= 1.2 * np.linalg.norm(points, axis=1, keepdims=True)
    scene = tmp_path / "scene"
    for part in ("images", "masks", "sparse/0"):
        (scene / part).mkdir(parents=True)
    lines, seen = [], [[] for _ in points]
    for number, viewmat in enumerate(made.orbit(4)):
        local = points @ viewmat[:, :3].T + viewmat[:, 3]
        x, y = (local[:, :2] / local[:, 2:]).T
        bend = 1 + K1 * (x**2 + y**2)
        at = np.column_stack([FOCAL * bend * x + WIDTH / 2, FOCAL * bend * y + HEIGHT / 2])
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        rows, cols = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        for u, v in at:
            picture = np.maximum(picture, 255 * np.exp(-((cols - u) ** 2 + (rows - v) ** 2) / 8)).astype(np.uint8)
        Image.fromarray(picture).convert("RGB").save(scene / "images" / f"{number}.png")
        Image.fromarray(np.where(picture > 40, 255, 0).astype(np.uint8)).save(scene / "masks" / f"{number}.png")
        quat = pycolmap.Rotation3d(viewmat[:, :3]).quat[[3, 0, 1, 2]]
        lines.append(" ".join(map(repr, map(float, (*quat, *viewmat[:, 3])))))
        for i in range(len(points)):
            seen[i].append((number + 1, i))
        lines[-1] = f"{number + 1} {lines[-1]} 1 {number}.png\n" + " ".join(f"{u} {v} {i + 1}"
                                                                          for i, (u, v) in enumerate(at.tolist()))
    model = scene / "sparse" / "0"
    (model / "cameras.txt").write_text(f"1 SIMPLE_RADIAL {WIDTH} {HEIGHT} {FOCAL} {WIDTH / 2} {HEIGHT / 2} {K1}\n")
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    (model / "points3D.txt").write_text("".join(
        f"{i + 1} {' '.join(map(str, xyz))} 200 100 50 0.1 {' '.join(f'{a} {b}' for a, b in seen[i])}\n"
        for i, xyz in enumerate(points.tolist())))
    return scene


def test_points_lie_where_the_pinholes_project_them(distorted, tmp_path):
    with pytest.raises(CameraModelError, match="milo undistort"):
        read_colmap(distorted)
    *_, end = undistort_scene(distorted, tmp_path / "out")
    scene = read_colmap(end.scene)
    assert len(scene.images) == 4 and len(scene.points) == 40 and not (end.scene / ".align").exists()
    for image in scene.images:
        picture, mask = (np.asarray(Image.open(path).convert("L")) for path in (image.path, image.mask))
        assert picture.shape == mask.shape == (image.height, image.width)
        local = scene.points @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
        at = local @ image.K.T
        at = at[:, :2] / at[:, 2:]
        inside = ((at > 4) & (at < [image.width - 4, image.height - 4])).all(1)
        rows, cols = at[inside].T[::-1].astype(int)
        assert inside.sum() > 25
        assert (picture[rows, cols] > 200).mean() > 0.95 and (mask[rows, cols] > 200).mean() > 0.95


def test_what_cannot_be_undistorted(distorted, tmp_path):
    (distorted / "images" / "2.png").unlink()
    with pytest.raises(SceneError, match=r"1 of 4 images are missing: 2\.png"):
        list(undistort_scene(distorted, tmp_path / "out"))
    with pytest.raises(SceneError, match="no COLMAP model"):
        list(undistort_scene(tmp_path, tmp_path / "out"))
