# SPDX-License-Identifier: Apache-2.0
"""Files on their way to the backend: interrupted, damaged, too large."""

import errno
import hashlib
import os
import subprocess

import numpy as np
import pytest

from milo.backend.service import blobs as blobs_module
from milo.backend.service.blobs import Blobs
from milo.backend.service.files import write_atomic
from milo.protocol import PROTOCOL_VERSION, ProtocolError
from milo.protocol import messages as m

DATA = np.random.default_rng(1).integers(0, 256, 300_000, np.uint8).tobytes()
HASH = hashlib.sha256(DATA).hexdigest()


def piece(start, stop):
    return np.frombuffer(DATA[start:stop], np.uint8)


def test_only_missing_files_are_asked_for(client):
    there = client.put(b"known")
    other = hashlib.sha256(b"unknown").hexdigest()
    assert client.ask(m.HaveBlobs((there, other))) == m.NeedsBlobs((other,), {})
    assert client.put(b"") == hashlib.sha256(b"").hexdigest()


def test_an_upload_goes_on_where_it_was_cut_off_even_by_a_killed_server(launch):
    server = launch()
    client = server.client()
    assert client.ask(m.PutBlob(HASH, len(DATA), 0, piece(0, 100_000))) == m.BlobStored(HASH, 100_000, False)
    server.kill()
    client = launch().client()
    assert client.ask(m.HaveBlobs((HASH,))) == m.NeedsBlobs((HASH,), {HASH: 100_000})
    repeated = client.ask(m.PutBlob(HASH, len(DATA), 0, piece(0, 100_000)))      # a client that does not know
    assert repeated == m.BlobStored(HASH, 100_000, False)
    ahead = client.ask(m.PutBlob(HASH, len(DATA), 200_000, piece(200_000, 300_000)))
    assert ahead == m.BlobStored(HASH, 100_000, False)
    assert client.ask(m.PutBlob(HASH, len(DATA), 100_000, piece(100_000, 300_000))).complete
    path = server.home / "blobs" / HASH[:2] / HASH
    assert path.read_bytes() == DATA
    assert not list((server.home / "blobs" / "partial").iterdir())


def test_damaged_content_is_refused_and_starts_over(client, server):
    wrong = np.zeros(10, np.uint8)
    good = bytes(range(10))
    digest = hashlib.sha256(good).hexdigest()
    with pytest.raises(ProtocolError, match="damaged") as no:
        client.ask(m.PutBlob(digest, 10, 0, wrong))
    assert no.value.code == "bad_request"
    assert not (server.home / "blobs" / digest[:2] / digest).exists()
    assert client.ask(m.HaveBlobs((digest,))) == m.NeedsBlobs((digest,), {})
    assert client.put(good) == digest


def test_a_scene_needs_its_files(client):
    scene = m.SceneFiles((m.SceneFile("images/a.jpg", "1" * 64, 5),))
    with pytest.raises(ProtocolError, match="1 files of this scene have not been sent") as no:
        client.ask(m.StartJob("x", scene))
    assert no.value.code == "not_ready"
    digest = client.put(b"12345")
    with pytest.raises(ProtocolError, match="declared with 6 bytes but has 5"):
        client.ask(m.StartJob("x", m.SceneFiles((m.SceneFile("images/a.jpg", digest, 6),))))


def full_disk(path, data):
    with open(path, "ab") as file:
        file.write(bytes(data)[:7])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_nothing_half_written(tmp_path, monkeypatch):
    blobs = Blobs(tmp_path / "blobs")
    assert blobs.put(HASH, len(DATA), 0, piece(0, 1000)) == (1000, False)
    monkeypatch.setattr(blobs_module, "append", full_disk)
    with pytest.raises(ProtocolError, match="disk is full") as no:
        blobs.put(HASH, len(DATA), 1000, piece(1000, 2000))
    assert no.value.code == "no_space"
    monkeypatch.undo()
    assert blobs.received(HASH) == 1000
    assert blobs.put(HASH, len(DATA), 1000, piece(1000, 300_000)) == (300_000, True)


def test_a_file_that_cannot_fit_is_refused_before_it_is_sent(tmp_path):
    with pytest.raises(ProtocolError, match="MB are needed") as no:
        Blobs(tmp_path).put(HASH, 60 << 30 << 10, 0, piece(0, 10))
    assert no.value.code == "no_space"
    assert not list((tmp_path / "partial").iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 70 MB, where we may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_really_full_disk(small_disk, launch, monkeypatch):
    """The server says no_space, lives on, and takes the file once there is space."""
    server = launch(home=small_disk / "home")
    client = server.client()
    ballast = small_disk / "ballast"
    client.put(b"small")
    with open(ballast, "wb") as file:
        file.write(bytes(60 << 20))
    with pytest.raises(ProtocolError) as no:
        client.put(DATA)
    assert no.value.code == "no_space"
    assert client.ask(m.Hello("t", "0")).protocol == PROTOCOL_VERSION
    ballast.unlink()
    assert client.put(DATA) == HASH


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    write_atomic(path, b"old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "full")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_blobs_that_nobody_needs_go_after_a_day(tmp_path):
    blobs = Blobs(tmp_path)
    kept, fresh, old = (hashlib.sha256(d).hexdigest() for d in (b"a", b"b", b"c"))
    for data in (b"a", b"b", b"c"):
        blobs.put(hashlib.sha256(data).hexdigest(), 1, 0, np.frombuffer(data, np.uint8))
    for digest in (kept, old):
        os.utime(blobs.path(digest), (1, 1))
    blobs.sweep({kept})
    assert blobs.have([kept, fresh, old])[0] == [old]
