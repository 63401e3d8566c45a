# SPDX-License-Identifier: Apache-2.0
"""The command line: what it says, how it exits, and that it starts without torch."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from milo.backend import cli
from milo.backend.config import load_config, preset_names

SUZANNE = Path(__file__).resolve().parents[2] / "examples" / "suzanne"


def milo(*arguments) -> int:
    """Run the command line in this process; its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code or 0


def refused(capfd, *arguments) -> str:
    """The one sentence on stderr of a command that ends with code 2."""
    assert milo(*arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("milo: ") and error.count("\n") == 1 and "Traceback" not in error
    return error


def test_presets_are_listed(capfd):
    assert milo("presets") == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == preset_names() and all(line.endswith(".") for line in lines)


def test_help_and_serve_start_without_torch():
    code = ("import sys; from milo.backend import cli; import milo.backend.service.server\n"
            "try: cli.main(['--help'])\n"
            "except SystemExit: pass\n"
            "assert 'torch' not in sys.modules")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    for command in ("reconstruct", "schedule", "extract", "finish", "render", "evaluate", "serve", "doctor"):
        assert command in result.stdout


def test_bad_usage_is_code_2(capfd):
    assert milo("reconstruct") == 2
    assert milo("nonsense") == 2


def test_bad_scenes_are_one_sentence(capfd, tmp_path):
    out = tmp_path / "run"
    assert "no such folder" in refused(capfd, "reconstruct", tmp_path / "nowhere", "-o", out)
    (tmp_path / "empty").mkdir()
    assert "folder is empty" in refused(capfd, "reconstruct", tmp_path / "empty", "-o", out)
    assert not out.exists()


def test_bad_settings_are_one_sentence(capfd, tmp_path, monkeypatch):
    def reconstruct(*options):
        return refused(capfd, "reconstruct", SUZANNE, "-o", tmp_path / "run", *options)

    assert "Unknown preset 'pretty'" in reconstruct("--preset", "pretty")
    assert "data.colour" in reconstruct("--set", "data.colour=3")
    assert "has no value" in reconstruct("--set", "data.max_width")
    assert "choose auto, cpu or cuda" in reconstruct("--device", "tpu")
    monkeypatch.setattr("milo.backend.gpu.why_no_cuda", lambda: "the driver is too old")
    assert "cuda: the driver is too old. Use --device cpu" in reconstruct("--device", "cuda")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["extract", "render", "evaluate"])
def test_not_a_run(capfd, tmp_path, command):
    assert "not the folder of a run" in refused(capfd, command, tmp_path)


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        cli.main(["reconstruct", str(tmp_path / "nowhere"), "-o", str(tmp_path / "run"), "--debug"])


@pytest.mark.parametrize("error, words, code", [
    (OSError(errno.ENOSPC, "No space left on device", "/runs/x"), "disk is full at /runs/x", 2),
    (PermissionError(errno.EACCES, "Permission denied", "/runs/x"), "/runs/x: Permission denied", 2),
    (MemoryError(), "smaller preset", 2),
    (ValueError("data.resolution is 0."), "data.resolution is 0.", 2),
    (KeyError("x"), "Internal error, KeyError", 1),
])
def test_explanations(error, words, code):
    sentence, exit_code = cli.explain(error)
    assert words in sentence and exit_code == code and "\n" not in sentence


def test_doctor(capfd):
    assert milo("doctor") == 0
    words = capfd.readouterr().out
    for subject in ("Python", "processor", "memory", "native kernels", "torch", "GPU", "Blender link", "Blender"):
        assert subject in words
    assert "can reconstruct" in words


def test_doctor_survives_a_broken_package(monkeypatch, capfd):
    from milo.backend import doctor

    def broken():
        raise ImportError("libtorch.so is missing")

    monkeypatch.setitem(doctor.EXAMINATIONS, "torch", broken)
    assert milo("doctor") == 1
    words = capfd.readouterr().out
    assert "libtorch.so is missing" in words and "cannot reconstruct yet: see torch" in words


@pytest.fixture
def trainer(monkeypatch):
    """Put a stand-in trainer behind `milo reconstruct`; it records its calls and can press Ctrl-C."""
    from milo.backend import console
    from milo.backend.training.events import Finished, Progress, Snapshot

    calls = []
    state = {"interrupt_at": None}

    def train(scene, config, run_dir, *, device, should_stop, resume):
        calls.append({"scene": scene, "config": config, "device": device, "resume": resume})
        run_dir = Path(run_dir)
        triangle = np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), np.zeros((3, 3), np.uint8)
        for k in range(1, 6):
            yield Progress("splats" if k < 3 else "mesh", k, 5, 0.1, 7, 3, 65.0, None)
            if k == state["interrupt_at"]:
                os.kill(os.getpid(), signal.SIGINT)
            if should_stop():
                yield Finished(run_dir / "splats.ply", run_dir / "mesh.ply", {}, None, True)
                return
            yield Snapshot("live", k, *triangle, None)
        yield Snapshot("final", 5, *triangle, None)
        yield Finished(run_dir / "splats.ply", run_dir / "mesh.ply", {"splats": 61.0}, 27.5, False)

    monkeypatch.setattr(console, "train", train)
    return calls, state


def test_reconstruct(trainer, capfd, tmp_path):
    calls, _ = trainer
    arguments = ["reconstruct", SUZANNE, "-o", tmp_path / "run", "--preset", "preview", "--set", "data.max_width=100"]
    assert milo(*arguments, "--set", "mesh.every=3", "--no-pictures") == 0
    words = capfd.readouterr().out
    assert "40 training and 8 test views of 100 x 100" in words and "27.50 dB" in words and "1:01" in words
    call = calls[0]
    assert call["config"].schedule == load_config(["preview"]).schedule and call["config"].mesh.every == 3
    assert call["device"] == "cpu" and call["resume"] is True
    kept = sorted(path.name for path in (tmp_path / "run" / "stages").iterdir())
    assert kept == [f"{k:06d}_live.ply" for k in range(1, 6)]      # the final mesh is mesh.ply
    milo(*arguments, "--fresh", "--no-pictures")
    assert calls[1]["resume"] is False


def test_interrupt_leaves_a_checkpoint_and_says_how_to_go_on(trainer, capfd, tmp_path):
    _, state = trainer
    state["interrupt_at"] = 2
    before = signal.getsignal(signal.SIGINT)
    assert milo("reconstruct", SUZANNE, "-o", tmp_path / "run", "--set", "data.max_width=50") == 130
    words = capfd.readouterr().out
    assert "Stopping after a checkpoint" in words and "same command goes on" in words
    assert signal.getsignal(signal.SIGINT) is before


def test_export(capfd, tmp_path):
    out = tmp_path / "out"
    assert milo("export", SUZANNE, "-o", out, "--format", "transforms") == 0
    assert (out / "transforms_train.json").is_file()
    assert "choose colmap, transforms, 3dgs" in refused(capfd, "export", SUZANNE, "-o", out, "--format", "obj")
    assert "not the folder of a run" in refused(capfd, "export", SUZANNE, "-o", out, "--format", "3dgs")
    assert "something at this place" in refused(capfd, "export", SUZANNE, "-o", out)


def test_wrong_benchmarks_are_one_sentence(capfd, tmp_path):
    mesh = SUZANNE / "gt_mesh.ply"
    assert "a.log" in refused(capfd, "score-tnt", mesh, "--data", tmp_path, "--trajectory", tmp_path / "a.log")
    assert "--scan" in refused(capfd, "score-dtu", mesh, "--data", tmp_path, "--scene", SUZANNE)
    assert "--scene" in refused(capfd, "extract", mesh)
    assert "not the folder of a run" in refused(capfd, "extract", tmp_path)
