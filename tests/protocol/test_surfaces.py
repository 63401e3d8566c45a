# SPDX-License-Identifier: Apache-2.0
"""Surfaces and animations as files: what is written comes back, what is wrong is refused in a sentence."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from milo.protocol import ProtocolError
from milo.protocol.surfaces import Animation, AnimationWriter, Frame, Pose, Surface


def a_surface(seed=0, verts=9, faces=12, parts=2):
    random = np.random.default_rng(seed)
    return Surface(random.integers(0, verts, (faces, 3), np.int32), random.random((verts, 3), np.float32),
                   np.ones(verts, np.float32), random.random((verts, 3), np.float32), np.ones(faces, np.int32),
                   random.integers(0, parts, faces).astype(np.int32), np.zeros(parts, np.uint8),
                   np.zeros(parts, np.uint8))


def a_pose(surface, seed=0):
    random = np.random.default_rng(seed)
    return Pose(random.random(surface.rest_co.shape, np.float32), random.random((len(surface.flip), 4, 4), np.float32))


def test_a_surface_is_its_bytes():
    surface = a_surface()
    again = Surface.read(io.BytesIO(surface.pack()))
    assert again.hash == surface.hash != a_surface(1).hash
    assert all(np.array_equal(getattr(again, name), getattr(surface, name)) for name in ("faces", "rest_co", "part"))


@pytest.mark.parametrize("wrong", [
    {"faces": np.full((12, 3), 9, np.int32)}, {"faces": np.zeros((12, 3), np.int64)}, {"rest_n": np.zeros((3, 3))},
    {"rest_co": np.full((9, 3), np.nan, np.float32)}, {"part": np.full(12, 2, np.int32)},
    {"src": np.ones(11, np.int32)}, {"flip": np.zeros(3, np.uint8)}])
def test_a_wrong_surface_is_refused(wrong):
    surface = replace(a_surface(), **wrong)
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        Surface.read(io.BytesIO(surface.pack()))


def test_files_that_are_none(tmp_path):
    """Not a zip, a compressed one, pickles, half a file, no file."""
    def archive(compression, **arrays):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as file:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.save(member, array, allow_pickle=True)
                file.writestr(name + ".npy", member.getvalue())
        return stream.getvalue()
    whole = a_surface().pack()
    for data in (b"no zip", archive(zipfile.ZIP_DEFLATED, faces=np.zeros((1 << 20, 3), np.int32)),
                 archive(zipfile.ZIP_STORED, faces=np.array([{}], object)), whole[: len(whole) // 2]):
        with pytest.raises(ProtocolError):
            Surface.read(io.BytesIO(data))
    with pytest.raises(ProtocolError, match="nowhere"):
        Animation(tmp_path / "nowhere.npz")


def test_an_animation_comes_back_frame_by_frame(tmp_path):
    """Its surface may change on the way; each is stored once."""
    one, other = a_surface(), a_surface(1, verts=5)
    random = np.random.default_rng(2)
    frames = [Frame(number, random.random((4, 4), np.float32), random.random((3, 3), np.float32), surface,
                    a_pose(surface, number)) for number, surface in ((3, one), (5, one), (7, other), (9, one))]
    file = tmp_path / "walk.npz"
    with AnimationWriter(file, (270, 480)) as writer:
        for frame in frames:
            writer.add(frame)
            assert not file.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["walk.npz"]
    with zipfile.ZipFile(file) as archive:
        assert sum(name.endswith("rest_co.npy") for name in archive.namelist()) == 2
    with Animation(file) as animation:
        assert animation.size == (270, 480) and animation.numbers == [3, 5, 7, 9] and len(animation) == 4
        for at in (2, 0, 3, 1):
            came, frame = animation[at], frames[at]
            assert came.surface.hash == frame.surface.hash and came.pose.hash == frame.pose.hash
            assert np.array_equal(came.viewmat, frame.viewmat) and np.array_equal(came.K, frame.K)


def test_a_failed_animation_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), AnimationWriter(tmp_path / "walk.npz", (2, 2)) as writer:
        writer.add(Frame(1, np.eye(4), np.eye(3), a_surface(), a_pose(a_surface())))
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with AnimationWriter(tmp_path / "bad.npz", (2, 2)) as writer:
        writer.add(Frame(1, np.eye(4), np.eye(3), a_surface(), a_pose(a_surface(verts=3, parts=1))))
    with Animation(tmp_path / "bad.npz") as animation, pytest.raises(ProtocolError, match="positions"):
        animation[0]
