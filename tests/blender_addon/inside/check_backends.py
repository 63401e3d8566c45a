# SPDX-License-Identifier: Apache-2.0
"""Which backend: on this computer or another, ending with Blender or outliving it."""

import json
import os
import signal
import stat

import bpy
import pytest


def mine():
    return bpy.context.preferences.addons["bl_ext.user_default.milo"].preferences


def ready(session):
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "ready", 20), session.trouble


def test_a_remote_backend_is_saved_and_chosen(session, milo, photos, tmp_path):
    """Here the other computer is this one, behind another home folder."""
    backend = milo("connection.backend").Backend("0", lambda: False)
    backend.start(os.environ["MILO_PROGRAM"], tmp_path / "far away")
    assert session.wait(lambda now: backend.step() or backend.state == "ready", 20)
    pairing = tmp_path / "far away" / "connection.json"
    address = json.loads(pairing.read_text())["address"].removeprefix("tcp://")

    for pair, where, why in ((str(tmp_path / "no"), address, "There is no file"), ("{", address, "cannot be read"),
                             (str(pairing), "gpu", "is no address")):
        with pytest.raises(RuntimeError, match=why):
            bpy.ops.milo.add_remote(name="studio", pairing=pair, address=where)
    assert bpy.ops.milo.add_remote(name="studio", pairing=pairing.read_text(), address=address) == {"FINISHED"}
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.milo.add_remote(name="studio", pairing=str(pairing), address=address)
    kept = milo("preferences").home() / "connection.json"
    assert mine().chosen == "studio" and stat.S_IMODE(kept.stat().st_mode) == 0o600

    settings = bpy.context.scene.milo
    settings.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 30), session.trouble
    assert session.backend.remote and session.backend.server_version == "0.0.0"
    assert settings.backend_home == str(kept.parent)      # an opened .blend finds it by that
    bpy.ops.milo.show_log()
    assert session.wait(lambda now: "MILo log" in bpy.data.texts, 10)
    with pytest.raises(RuntimeError, match="Disconnect first"):
        bpy.ops.milo.remove_remote()
    bpy.ops.milo.stop_backend()
    assert session.backend.state == "stopped"
    backend.step()
    assert backend.state == "ready"                       # letting go of it does not end it

    os.kill(backend.pid, signal.SIGKILL)
    session.wait(lambda now: backend.step() or backend.state == "stopped", 10)
    bpy.ops.milo.start_backend()                          # and no local one is started in its place
    assert session.wait(lambda now: now.backend.state == "stopped" and now.trouble, 40)
    bpy.ops.milo.remove_remote()
    assert mine().chosen == "" and not kept.exists() and milo("preferences").home() == tmp_path / "home"
    backend.close()


@pytest.mark.parametrize("outlives", [False, True])
def test_a_backend_ends_with_blender_or_outlives_it(session, milo, outlives):
    mine().outlives = outlives
    ready(session)
    pid, home = session.backend.pid, session.backend.home
    milo("session").unregister()                          # as when Blender quits
    assert (home / "connection.json").exists() == outlives
    if outlives:
        again = milo("session").current()
        ready(again)
        assert again.backend.pid == pid
        again.stop_backend()
        assert again.wait(lambda now: not (home / "connection.json").exists(), 10)
    mine().outlives = False


def test_the_log_of_a_backend_that_failed(session, monkeypatch):
    monkeypatch.setenv("FAKE_BACKEND", "crash")
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    assert "no native code" in session.trouble.hint
    bpy.ops.milo.show_log()
    assert "no native code" in bpy.data.texts["MILo log"].as_string()
