# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between Blender and a backend: each is a sentence in the panel, and nothing is left broken."""

import json
import os
import shutil

import bpy
import pytest


def started(session):
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "ready", 20), session.trouble
    return session.backend.home / "connection.json"


def connect_anew(session, milo, home):
    """Another Blender's way to the backend of `home`."""
    backend = milo("connection.backend").Backend("0", lambda: False)
    backend.attach(home)
    return backend


def settle(backend, session):
    session.wait(lambda now: backend.step() or backend.state != "starting", 20)
    return backend


@pytest.mark.parametrize("key", ["server_key", "client_secret"])
def test_wrong_key(session, milo, tmp_path, key):
    content = json.loads(started(session).read_text())
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    from zmq import curve_keypair
    public, secret = curve_keypair()
    content |= {"server_key": public.decode()} if key == "server_key" else {
        "client_public": public.decode(), "client_secret": secret.decode()}
    (stranger / "connection.json").write_text(json.dumps(content))
    backend = settle(connect_anew(session, milo, stranger), session)
    assert backend.state == "stopped"
    assert type(backend.problem).__name__ == "WrongKey" and "start it again" in backend.problem.hint
    assert session.backend.state == "ready"   # the rightful client is not disturbed


def test_version_mismatch(session, monkeypatch):
    monkeypatch.setenv("FAKE_BACKEND", "version_mismatch")
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    assert type(session.backend.problem).__name__ == "VersionMismatch"
    assert "version 99" in session.trouble.message and "Update" in session.trouble.hint


def test_backend_that_ends_at_once(session, monkeypatch):
    monkeypatch.setenv("FAKE_BACKEND", "crash")
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    assert "exit status 1" in session.trouble.message
    assert "no native code" in session.trouble.hint   # the end of its log
    monkeypatch.delenv("FAKE_BACKEND")
    started(session)
    assert session.trouble is None


def test_no_such_program(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = "/nowhere/milo"
    with pytest.raises(RuntimeError, match=r"There is no program .*nowhere"):
        bpy.ops.milo.start_backend()
    assert session.backend.state == "stopped"


def test_running_backend_is_found(session, milo):
    started(session)
    other = settle(connect_anew(session, milo, session.backend.home), session)
    assert other.state == "ready" and other.pid == session.backend.pid
    other.close()
    assert session.wait(lambda now: not now.poll(), 5) and session.backend.state == "ready"


def test_connection_file_left_behind(session, tmp_path):
    """Its process id belongs to something else by now, and nobody listens: a new backend is started."""
    path = started(session)
    content = json.loads(path.read_text()) | {"pid": os.getpid(), "address": "tcp://127.0.0.1:9"}
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    path.write_text(json.dumps(content))
    started(session)
    assert session.backend.pid != os.getpid()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1, "address": "tcp://127.0.0.1:5"}'])
def test_damaged_connection_file(session, tmp_path, content):
    home = tmp_path / "home"
    home.mkdir()
    (home / "connection.json").write_text(content)
    with pytest.raises(RuntimeError, match=r"connection\.json"):
        bpy.ops.milo.start_backend()


def test_other_computers_need_online_access(milo, tmp_path):
    content = {"format": 1, "address": "tcp://203.0.113.5:5000", "server_key": "x" * 40, "client_public": "x" * 40,
               "client_secret": "x" * 40, "pid": os.getpid(), "version": "1"}
    (tmp_path / "connection.json").write_text(json.dumps(content))
    backend = milo("connection.backend").Backend("0", lambda: False)
    with pytest.raises(milo("connection.problems").Problem, match="another computer"):
        backend.attach(tmp_path)
    is_loopback = milo("connection.endpoint").is_loopback
    assert is_loopback("tcp://127.0.0.1:5") and is_loopback("tcp://[::1]:5") and is_loopback("tcp://localhost:5")
    assert not is_loopback("tcp://127.0.0.1.evil.org:5") and not is_loopback("ipc://x")


def test_folders_that_are_no_scene(session, photos, tmp_path):
    settings = bpy.context.scene.milo
    with pytest.raises(RuntimeError, match="Choose a folder"):
        bpy.ops.milo.reconstruct()
    for folder, sentence in ((tmp_path / "nowhere", "There is no folder"), (photos / "sparse", "There are no photos"),
                             (photos / "images", "no cameras")):
        settings.folder = str(folder)
        bpy.ops.milo.reconstruct()
        assert session.wait(lambda now: now.trouble, 20)
        assert sentence in session.trouble.message and session.trouble.hint
        assert session.job_state == ""


def test_a_failed_start_keeps_the_earlier_job(session, photos, tmp_path):
    settings = bpy.context.scene.milo
    settings.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 30)
    job = settings.job
    settings.folder = str(tmp_path / "nowhere")
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.trouble, 20)
    assert settings.job == job and session.job_state == "finished"
    assert bpy.ops.milo.freeze.poll()


def test_refused_settings(session, photos):
    settings = bpy.context.scene.milo
    settings.folder, settings.overrides = str(photos), "unknown=1"
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.trouble, 20)
    assert "no setting unknown" in session.trouble.message and "Advanced" in session.trouble.hint
    settings.overrides = "nonsense"
    with pytest.raises(RuntimeError, match='"nonsense" is not of the form'):
        bpy.ops.milo.reconstruct()


def test_job_that_is_gone(session, photos):
    settings = bpy.context.scene.milo
    settings.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30)
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 10)
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    shutil.rmtree(session.backend.home)
    session.attach(bpy.context.scene)
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.trouble, 20)
    assert "There is no job" in session.trouble.message
    assert len(bpy.data.objects["photos"].data.vertices)


def test_upload_goes_on_where_it_stopped(session, photos, milo):
    """A file of several chunks whose first part is there already."""
    import hashlib
    started(session)
    data = os.urandom(10 << 20)
    (photos / "images" / "big.png").write_bytes(data)
    name = hashlib.sha256(data).hexdigest()
    (session.backend.home / "blobs" / f"{name}.part").write_bytes(data[: 5 << 20])
    settings = bpy.context.scene.milo
    settings.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished", 30), session.trouble
    assert (session.backend.home / "blobs" / name).read_bytes() == data
    puts = [text for kind, text in map(json.loads, (session.backend.home / "asked.jsonl").open()) if kind == "PutBlob"]
    assert len([text for text in puts if name in text]) == 2   # 5 MiB left, in pieces of 4
