# SPDX-License-Identifier: Apache-2.0
"""Which backend: on this computer or another, ending with Blender or outliving it."""

import os
import re
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest


def mine():
    return bpy.context.preferences.addons["bl_ext.user_default.milo"].preferences


def ready(session):
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "ready", 20), session.trouble


@pytest.fixture
def far_away(milo, session, tmp_path):
    """A real backend for other computers; here the other computer is this one. It can make pairing codes."""
    home = tmp_path / "far away"
    process = subprocess.Popen([os.environ["MILO_SERVICE_PROGRAM"], "serve", "--home", str(home), "--host", "0.0.0.0"],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ready"), "it did not start"
    process.stdout.readline()
    code = process.stdout.readline().strip()
    at_home = re.sub("//[^/]+:", "//127.0.0.1:", code)     # loopback needs no online access
    yield SimpleNamespace(process=process, code=at_home, public_code=code)
    process.terminate()
    process.wait(20)
    mine().saved.clear()
    mine().chosen = ""


def paired(session):
    assert session.wait(lambda now: not now.pairing.address, 30)
    return session.trouble


def test_pairing_by_a_pasted_code(session, milo, photos, far_away):
    settings = bpy.context.scene.milo
    for code, address, why in (("hello", "", "not a pairing code"), (far_away.code[:-3], "", "not complete"),
                               (far_away.code, "gpu", "is no address"),
                               (far_away.public_code, "", "not allowed to go online")):
        with pytest.raises(RuntimeError, match=why):
            bpy.ops.milo.pair(code=code, address=address)
    assert bpy.ops.milo.pair(code=f"Paste this: {far_away.code}", name="studio") == {"FINISHED"}
    assert session.pairing.address.startswith("127.0.0.1:")
    with pytest.raises(RuntimeError, match="under way"):
        bpy.ops.milo.pair(code=far_away.code)
    assert paired(session) is None and mine().chosen == "studio"
    kept = milo("preferences").home() / "connection.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.milo.pair(code=far_away.code, name="studio")
    bpy.ops.milo.pair(code=far_away.code, name="again")
    assert "used already" in paired(session).message and "milo pair" in session.trouble.hint
    assert [item.name for item in mine().saved] == ["studio"]

    settings.folder, settings.overrides = str(photos), "fake.iterations=20; service.snapshot_interval_s=0"
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    assert session.backend.remote and settings.backend_home == str(kept.parent)   # an opened .blend finds it by that
    bpy.ops.milo.show_log()
    assert session.wait(lambda now: "MILo log" in bpy.data.texts, 10)
    with pytest.raises(RuntimeError, match="disconnect"):
        bpy.ops.milo.forget_backend()
    bpy.ops.milo.stop_backend()
    assert session.backend.state == "stopped" and far_away.process.poll() is None   # letting go of it does not end it

    far_away.process.kill()
    far_away.process.wait()
    bpy.ops.milo.start_backend()                          # and no local one is started in its place
    assert session.wait(lambda now: now.backend.state == "stopped" and now.trouble, 40)
    bpy.ops.milo.forget_backend()
    assert mine().chosen == "" and not kept.exists()


def test_a_wrong_code_is_told(session, milo, far_away):
    pairing = milo("protocol.pairing")
    code = pairing.read_code(far_away.code)
    wrong = pairing.PairingCode(code.address, code.server_key, bytes(16)).text
    bpy.ops.milo.pair(code=wrong)
    assert "does not know this pairing code" in paired(session).message
    far_away.process.kill()
    far_away.process.wait()
    bpy.ops.milo.pair(code=far_away.code)
    assert "Nobody answers" in paired(session).message and "firewall" in session.trouble.hint
    assert not mine().saved


def test_several_backends_of_this_computer(session, milo, photos, tmp_path):
    """Each has its own program and its own work; a .blend's job is resumed by the one that has it."""
    preferences, settings = milo("preferences"), bpy.context.scene.milo
    mine().backend_program = str(tmp_path / "not there")
    with pytest.raises(RuntimeError, match="There is no program"):
        bpy.ops.milo.add_backend(filepath=str(tmp_path / "not there"))
    bpy.ops.milo.add_backend(filepath=os.environ["MILO_PROGRAM"], name="first")
    bpy.ops.milo.add_backend(filepath=os.environ["MILO_PROGRAM"], name="second")
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.milo.add_backend(filepath=os.environ["MILO_PROGRAM"], name="second")
    assert mine().chosen == "second" and preferences.icon("second") == "CONSOLE"
    bpy.ops.milo.use_backend(name="first")
    ready(session)
    assert session.backend.home == preferences.saved_home("first") != preferences.saved_home("second")
    with pytest.raises(RuntimeError, match="Stop the backend"):
        bpy.ops.milo.use_backend(name="second")
    settings.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30), session.trouble
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 10)
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)

    bpy.ops.milo.use_backend(name="second")
    ready(session)
    with pytest.raises(RuntimeError, match="with another backend"):
        bpy.ops.milo.resume()
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "finished", 30), session.trouble
    assert session.backend.home == preferences.saved_home("first")
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    bpy.ops.milo.forget_backend()
    assert mine().chosen == "" and [item.name for item in mine().saved] == ["first"]
    mine().saved.clear()


def test_a_missing_backend_and_how_to_install_one(session, milo, monkeypatch, tmp_path):
    install = milo("connection.install")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install, "LOOK_AGAIN_S", 0.01)
    assert "not found" in install.why_missing("", tmp_path).message
    (tmp_path / "milo").write_text("#!/bin/sh\n")
    (tmp_path / "milo").chmod(0o755)
    time.sleep(0.02)
    assert install.why_missing("", tmp_path) is None
    assert bpy.ops.milo.copy_install_command() == {"FINISHED"}
    assert install.name_of(Path("/home/me/milo-gpu/.venv/bin/milo")) == "milo-gpu"
    assert install.name_of(Path("/bin/milo")) in ("milo", "/")


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
