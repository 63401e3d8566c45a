# SPDX-License-Identifier: Apache-2.0
"""The demos delete what a demo has left, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize("script", ["demo.py", "demo_animate.py"])
def test_a_folder_of_the_users_is_kept(tmp_path, script):
    out = tmp_path / "bench"
    (out / "blender").mkdir(parents=True)       # as in a demo's folder
    (out / "mine.txt").write_text("mine")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "scene.blend").write_bytes(b"")
    command = [sys.executable, EXAMPLES / script, "--bpy", sys.executable, "--zip", tmp_path / "none.zip", "--out", out]
    run = subprocess.run([*command, "--demo", tmp_path / "demo"] if script == "demo_animate.py" else command,
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "holds other files" in run.stderr
    assert (out / "mine.txt").read_text() == "mine"


def test_a_folder_of_a_demos_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from demo_folder import make_anew

    for _ in range(2):
        make_anew(tmp_path / "new" / "demo")
        assert len(list((tmp_path / "new" / "demo").iterdir())) == 1
        (tmp_path / "new" / "demo" / "scene.blend").write_bytes(b"")
