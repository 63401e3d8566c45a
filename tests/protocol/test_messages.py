# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milo.protocol import PROTOCOL_VERSION, ProtocolError, pack, unpack
from milo.protocol import messages as m
from milo.protocol import photos as p

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
HASH = "0" * 64
EYE3, EYE4 = tuple(np.eye(3).ravel()), tuple(np.eye(4).ravel())

WIRE_NAMES = [
    "hello", "welcome", "blob.have", "blob.needs", "blob.put", "blob.stored", "job.start", "job.list", "jobs",
    "job.get", "job.watch", "job.pause", "job.resume", "job.cancel", "job.delete", "job.info", "mesh.next",
    "mesh.snapshot", "nothing", "file.list", "files", "file.get", "file.chunk", "render.splats", "picture",
    "log.tail", "log", "server.stop", "ok", "error", "photos.get", "photos.report", "alignment.get", "alignment",
    "job.estimate", "estimate", "preview.next", "preview", "pair.open", "pair.code", "pair", "paired",
    "splats.files", "job.restore",
]


def test_every_message_has_its_name():
    assert sorted(m.MESSAGES) == sorted(WIRE_NAMES)


@pytest.mark.parametrize("name", WIRE_NAMES)
def test_round_trip(name, any_message, equal):
    """What is packed comes out the same, arrays included, over bytes and over memoryviews."""
    @QUICK
    @given(st.data(), st.integers(0, 2**53 - 1), st.sampled_from(["raw", "zlib"]))
    def check(data, request_id, codec):
        message = data.draw(any_message[name])
        frames = [bytes(f) for f in pack(message, request_id, codec)]
        for received in (frames, [memoryview(f) for f in frames]):
            came_id, came = unpack(received)
            assert came_id == request_id
            assert equal(came, message)
    check()


def test_arrays_are_views_of_their_frames():
    """A large mesh is not copied on its way in, and nobody can write into a received message."""
    verts = np.random.default_rng(0).random((1000, 3), np.float32)
    frames = [bytes(f) for f in pack(mesh(verts, [[0, 1, 999]], 1000), 1)]
    came = unpack(frames)[1]
    assert np.shares_memory(came.verts, np.frombuffer(frames[1], np.uint8))
    with pytest.raises(ValueError):
        came.verts[0] = 0


def test_zlib_shrinks_a_flat_picture():
    picture = m.Picture(64, 64, np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64), np.float32))
    assert sum(map(len, pack(picture, 1, "zlib"))) < 1000 < sum(map(len, pack(picture, 1)))


def test_numpy_values_and_matrices_are_accepted_by_the_sender():
    request = m.RenderSplats("a", np.eye(4), np.eye(3, dtype=np.float32), np.int64(8), 8)
    assert unpack(pack(request, 1))[1] == m.RenderSplats("a", EYE4, EYE3, 8, 8)


def start(**fields):
    scene = m.SceneFiles((m.SceneFile("images/a.jpg", HASH, 3),))
    return m.StartJob(**({"name": "bunny", "scene": scene} | fields))


def files(*paths):
    return start(scene=m.SceneFiles(tuple(m.SceneFile(p, HASH, 1) for p in paths)))


def mesh(verts=None, faces=((0, 1, 2),), colors=3):
    verts = np.zeros((3, 3), np.float32) if verts is None else verts
    return m.MeshSnapshot("a", 1, "live", 1, 1, verts, np.array(faces, np.int32), np.zeros((colors, 3), np.uint8))


@pytest.mark.parametrize("wrong", [
    m.GetJob("../etc"), m.GetJob(""), m.GetJob("A"), m.GetJob("a" * 41), m.GetJob(7), m.GetJob("a\n"),
    m.WatchJob("a", wait_s=float("nan")), m.WatchJob("a", wait_s=1e9), m.WatchJob("a", after=-1),
    m.WatchJob("a", after=True), m.WatchJob("a", after=1.0),
    m.HaveBlobs((HASH.upper().replace("0", "A"),)), m.HaveBlobs(("0" * 63,)), m.HaveBlobs([HASH] * 20_001),
    files("../a"), files("/etc/passwd"), files("images/../../a"), files("a\\b"), files("C:/a"), files("a//b"),
    files("./a"), files("images/"), files("a\x00b"), files("nul.txt"), files("a/CON"), files("a. "), files("x" * 401),
    files("a", "a"), files("a", "A"), files("a", "a/b"), files(), files("", "b"),
    start(settings={"a": float("inf")}), start(settings={"a": {"b": 1}}), start(settings={"a b": 1}),
    start(settings={"a": "x" * 1001}), start(settings={f"k{i}": 1 for i in range(501)}), start(preset=("../x",)),
    start(points=np.zeros((2, 3), np.float32)), start(name="x" * 201), start(name="\ud800"),
    start(task="guess"), start(task="align", scene=m.SceneCameras((m.SceneCamera("c", HASH, 2, 2, EYE3, EYE4),))),
    start(scene=m.SceneCameras((m.SceneCamera("c", HASH, 2, 2, EYE3, EYE4, mask="no"),))),
    start(colors=np.zeros((2, 3), np.uint8)),
    p.Alignment("a", (), 3, (3,), "ground", True, np.zeros((2, 3), np.float32), np.zeros((3, 3), np.uint8)),
    p.Alignment("a", (), 3, (3,), "ground", True, np.full((1, 3), np.nan, np.float32), np.zeros((1, 3), np.uint8)),
    p.PhotoReport("a", "superb", "", (), (), ()),
    p.PhotoReport("a", "good", "", (), (), (p.Photo("../a", 1, 1, 1.0, 1.0),)),
    m.RenderSplats("a", EYE4[:15], EYE3, 8, 8), m.RenderSplats("a", EYE4, EYE3, 0, 8),
    m.RenderSplats("a", (float("nan"), *EYE4[1:]), EYE3, 8, 8), m.RenderSplats("a", EYE4, EYE3, 8193, 8),
    m.RenderSplats("a", EYE4, EYE3, 8, 8, surface=HASH), m.RenderSplats("a", EYE4, EYE3, 8, 8, pose=HASH),
    m.RenderSplats("a", EYE4, EYE3, 8, 8, surface=HASH, pose=HASH, positions=np.zeros((3, 3), np.float32)),
    m.RenderSplats("a", EYE4, EYE3, 8, 8, positions=np.zeros((3, 3), np.float32),
                   matrices=np.zeros((1, 4, 4), np.float32)),
    m.PutBlob(HASH, 2, 0, np.zeros(3, np.uint8)), m.PutBlob(HASH, 9, 0, np.zeros(3, np.int32)),
    m.PutBlob(HASH, 9, 0, b"abc"), m.PutBlob(HASH, 2**30, 0, np.zeros((4 << 20) + 1, np.uint8)),
    mesh(faces=[[0, 1, 3]]), mesh(faces=[[-1, 0, 1]]), mesh(colors=2), mesh(verts=np.full((3, 3), np.nan, np.float32)),
    mesh(verts=np.zeros((3, 2), np.float32)), mesh(verts=np.zeros((3, 3))),
    m.Picture(2, 2, np.zeros((2, 3, 4), np.uint8), np.zeros((2, 2), np.float32)),
    m.GetFile("a", "../secret"), m.GetFile("a", "b", length=0), m.TailLog("a", 0),
    m.JobInfo("a", "n", "asleep", 1), object(), None,
], ids=lambda w: repr(w)[:60])
def test_wrong_values_are_refused_by_the_sender(wrong):
    with pytest.raises(ProtocolError) as refused:
        pack(wrong, 1)
    assert refused.value.code == "bad_message"
    assert len(refused.value.message) < 500


def test_a_refusal_names_the_place():
    with pytest.raises(ProtocolError, match=r"job.start.scene.files\[1\].path: '../b' is not a plain relative path"):
        pack(files("a", "../b"), 1)


def test_points_go_with_cameras(equal):
    scene = m.SceneCameras((m.SceneCamera("Camera.001", HASH, 640, 480, EYE3, EYE4),))
    message = start(scene=scene, points=np.ones((5, 3), np.float32), settings={"mesh.start": 5, "a": [1, 2.5, "x"]})
    came = unpack(pack(message, 1))[1]
    assert came.settings == {"mesh.start": 5, "a": (1, 2.5, "x")}
    assert equal(came.points, message.points)
    assert equal(came.scene, scene)


def test_an_error_becomes_an_exception_again():
    error = unpack(pack(m.Error("no_space", "The disk is full.", "Free 3 GB."), 1))[1].to_exception()
    assert (error.code, error.message, error.hint) == ("no_space", "The disk is full.", "Free 3 GB.")
    assert m.Error("invented", "x").to_exception().code == "internal"


def test_the_version_is_four():
    assert PROTOCOL_VERSION == 4


def test_the_reference_names_every_message():
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    assert [name for name in m.MESSAGES if f"`{name}`" not in text] == []
