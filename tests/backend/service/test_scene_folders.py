# SPDX-License-Identifier: Apache-2.0
"""What a worker makes of a request: a folder that the scene loader reads."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from milo.backend.service.blobs import Blobs
from milo.backend.service.job_folder import build_scene, read_request, write_request
from milo.protocol import ProtocolError
from milo.protocol import messages as m


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def put(blobs, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    blobs.put(digest, len(data), 0, np.frombuffer(data, np.uint8))
    return digest


def photo(shade: int, kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, 0, 0)).save(file, kind)
    return file.getvalue()


def test_a_folder_of_files(tmp_path, blobs):
    content = {"images/a.jpg": b"one", "sparse/0/cameras.bin": b"two", "test.txt": b""}
    files = tuple(m.SceneFile(path, put(blobs, data), len(data)) for path, data in content.items())
    request = m.StartJob("x", m.SceneFiles(files), ("preview",), {"mesh.every": 2, "run.evaluate_at": (1, 2)})
    write_request(tmp_path / "job", request)
    assert read_request(tmp_path / "job") == request
    scene = build_scene(tmp_path / "job", blobs.path)
    assert {p.relative_to(scene).as_posix(): p.read_bytes() for p in scene.rglob("*") if p.is_file()} == content
    assert build_scene(tmp_path / "job", blobs.path) == scene, "a second time changes nothing"


def test_cameras_become_a_camera_set_that_loads(tmp_path, blobs):
    from milo.backend.config import DataConfig
    from milo.backend.data.scene import load_scene

    K = (50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0)
    cameras = []
    for i in range(9):
        viewmat = np.eye(4)
        viewmat[:3, 3] = (0.1 * i, 0.2, 3.0)
        digest = put(blobs, photo(20 * i, "PNG" if i % 2 else "JPEG"))
        cameras.append(m.SceneCamera(f"../Camera/{i}", digest, 64, 48, K, tuple(viewmat.ravel())))
    points = np.random.default_rng(0).random((40, 3), np.float32)
    write_request(tmp_path / "job", m.StartJob("x", m.SceneCameras(tuple(cameras)), points=points))
    folder = build_scene(tmp_path / "job", blobs.path)

    table = json.loads((folder / "cameras.json").read_text())
    assert [c["name"] for c in table["cameras"]] == [c.name for c in cameras], "names are kept, and are no paths"
    scene = load_scene(folder, DataConfig())
    assert len(scene.train) + len(scene.test) == 9
    assert np.allclose(scene.points, points)
    views = sorted([*scene.train, *scene.test], key=lambda view: float(view.camera.viewmat[0, 3]))
    for i, view in enumerate(views):
        assert np.allclose(view.camera.viewmat.numpy().ravel(), cameras[i].viewmat, atol=1e-6)
        assert abs(int(view.image[0, 0, 0]) - 20 * i) < 3, "each camera has its own photo"


def test_a_request_of_another_format_is_refused(tmp_path, blobs):
    write_request(tmp_path / "job", m.StartJob("x", m.SceneFiles((m.SceneFile("a", put(blobs, b"a"), 1),))))
    path = tmp_path / "job" / "request.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ProtocolError, match="has format 2; this version of MILo reads 1"):
        read_request(tmp_path / "job")
