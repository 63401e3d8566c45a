# SPDX-License-Identifier: Apache-2.0
"""Small scenes made on disk, and the sample scene."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def suzanne() -> Path:
    return EXAMPLES / "suzanne"


@dataclass
class MadeScene:
    """Cameras on an arc that look at the origin, with noise for photos; written in any format."""

    root: Path
    names: list[str]
    size: tuple[int, int] = (32, 24)                       # width, height
    params: tuple[float, ...] = (40.0, 41.0, 15.0, 13.0)   # fx, fy, cx, cy
    model: tuple[int, str] = (1, "PINHOLE")
    points: np.ndarray = field(default_factory=lambda: np.random.default_rng(1).normal(size=(30, 3)))
    colors: np.ndarray = field(default_factory=lambda: np.random.default_rng(2).integers(0, 256, (30, 3), np.uint8))

    def __post_init__(self):
        self.viewmats = []
        for i in range(len(self.names)):
            rotation = Rotation.from_euler("yx", [0.2 * i, 0.1 * i]).as_matrix()
            viewmat = np.eye(4)
            viewmat[:3, :3], viewmat[:3, 3] = rotation, (0.05 * i, -0.1, 4.0)
            self.viewmats.append(viewmat)

    def photos(self, folder: str = "images", seed: int = 0) -> MadeScene:
        rng = np.random.default_rng(seed)
        for name in self.names:
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (self.size[1], self.size[0], 3), np.uint8)).save(path, quality=95)
        return self

    def quats(self) -> list[np.ndarray]:
        return [Rotation.from_matrix(v[:3, :3]).as_quat(scalar_first=True) for v in self.viewmats]

    def binary(self, folder: str = "sparse/0") -> MadeScene:
        out = self.root / folder
        out.mkdir(parents=True, exist_ok=True)
        camera = struct.pack("<QiiQQ", 1, 1, self.model[0], *self.size)
        (out / "cameras.bin").write_bytes(camera + struct.pack(f"<{len(self.params)}d", *self.params))
        data = struct.pack("<Q", len(self.names))
        for i, (name, quat, viewmat) in enumerate(zip(self.names, self.quats(), self.viewmats)):
            data += struct.pack("<i7di", i + 1, *quat, *viewmat[:3, 3], 1) + name.encode() + b"\0"
            data += struct.pack("<Q", i) + struct.pack("<ddq", 1.5, 2.5, -1) * i      # 2D points, to be skipped
        (out / "images.bin").write_bytes(data)
        data = struct.pack("<Q", len(self.points))
        for i, (xyz, rgb) in enumerate(zip(self.points, self.colors)):
            data += struct.pack("<Q3d3BdQ", i, *xyz, *rgb.tolist(), 0.5, i % 3) + struct.pack("<ii", 1, 2) * (i % 3)
        (out / "points3D.bin").write_bytes(data)
        return self

    def text(self, folder: str = "sparse/0") -> MadeScene:
        out = self.root / folder
        out.mkdir(parents=True, exist_ok=True)
        params = " ".join(map(repr, self.params))
        (out / "cameras.txt").write_text(f"# cameras\n1 {self.model[1]} {self.size[0]} {self.size[1]} {params}\n")
        lines = ["# images"]
        for i, (name, quat, viewmat) in enumerate(zip(self.names, self.quats(), self.viewmats)):
            pose = " ".join(repr(float(x)) for x in [*quat, *viewmat[:3, 3]])
            lines += [f"{i + 1} {pose} 1 {name}", "1.5 2.5 -1" if i % 2 else ""]      # a line of 2D points may be empty
        (out / "images.txt").write_text("\n".join(lines) + "\n")
        lines = ["# points"]
        for i, (xyz, rgb) in enumerate(zip(self.points, self.colors)):
            lines.append(f"{i} {' '.join(repr(float(x)) for x in xyz)} {' '.join(map(str, rgb))} 0.5 1 2")
        (out / "points3D.txt").write_text("\n".join(lines) + "\n")
        return self

    def transforms(self, file: str = "transforms.json", **values) -> MadeScene:
        fx, fy, cx, cy = self.params
        frames = []
        for name, viewmat in zip(self.names, self.viewmats):
            pose = np.linalg.inv(np.diag([1, -1, -1, 1]) @ viewmat)
            frames.append({"file_path": f"images/{name}", "transform_matrix": pose.tolist()})
        document = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": self.size[0], "h": self.size[1], "frames": frames}
        document = {key: value for key, value in (document | values).items() if value is not None}
        (self.root / file).write_text(json.dumps(document))
        return self

    def camera_set(self, cloud: np.ndarray | None = None, **values) -> MadeScene:
        fx, fy, cx, cy = self.params
        cameras = [
            {"name": f"Camera {i}", "image": f"images/{name}", "width": self.size[0], "height": self.size[1],
             "K": [fx, 0, cx, 0, fy, cy, 0, 0, 1], "viewmat": viewmat.ravel().tolist()}
            for i, (name, viewmat) in enumerate(zip(self.names, self.viewmats))
        ]
        if cloud is not None:
            np.save(self.root / "points.npy", cloud)
        document = {"format": 1, "cameras": cameras, "points": None if cloud is None else "points.npy"} | values
        (self.root / "cameras.json").write_text(json.dumps(document))
        return self


@pytest.fixture
def make_scene(tmp_path):
    """make_scene(count or names, **fields of MadeScene) -> MadeScene with photos, in a fresh folder."""
    made = iter(range(100))

    def make(names=3, **fields) -> MadeScene:
        if isinstance(names, int):
            names = [f"photo_{i:02}.png" for i in range(names)]
        root = tmp_path / f"scene{next(made)}"
        root.mkdir()
        return MadeScene(root, names, **fields).photos()

    return make
