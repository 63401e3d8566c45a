# SPDX-License-Identifier: Apache-2.0
"""The stream of a whole run, its folder, and stopping and resuming it (extraction is replaced by a triangle)."""

import dataclasses
import json

import pytest
import torch

from milo.backend.config import Config
from milo.backend.data.ply import read_mesh, read_splats
from milo.backend.data.splat_folder import read_cameras
from milo.backend.extraction.steps import ColoredMesh, ExtractStep
from milo.backend.training import reconstruct as module
from milo.backend.training.errors import TrainingError
from milo.backend.training.events import Finished, Progress, Snapshot
from milo.backend.training.reconstruct import reconstruct


@pytest.fixture(autouse=True)
def triangle_at_the_end(monkeypatch):
    def refine(*args):
        yield ExtractStep("refine", 1, 1, 0.5, 3)
        yield ColoredMesh(torch.eye(3), torch.tensor([[0, 1, 2]], dtype=torch.int32),
                          torch.full((3, 3), 7, dtype=torch.uint8))

    monkeypatch.setattr(module, "mesh_of", refine)
    monkeypatch.setattr(module, "steps_ahead", lambda *args: (0, 1))


def test_a_run_streams_and_fills_its_folder(ball, short_config, tmp_path):
    config = short_config(**{"run.evaluate_at": [20]})
    events = list(reconstruct(ball, config, tmp_path / "run"))
    finished = events[-1]
    assert isinstance(finished, Finished) and not finished.stopped
    steps = [event for event in events if isinstance(event, Progress)]
    assert [step.iteration for step in steps if step.stage == "splats"] == list(range(1, 41))
    assert [step.stage for step in steps if step.stage != "splats"] == ["loading", "colours", "saving"]
    assert [event.kind for event in events if isinstance(event, Snapshot)] == ["final"]
    assert len(read_splats(finished.splats).means) == steps[-1].gaussians
    assert len(read_mesh(finished.mesh)[0]) == 3
    assert Config.from_dict(json.loads((tmp_path / "run" / "config.json").read_text())) == config
    cameras = [view.camera for view in ball.train]
    for kept, camera in zip(read_cameras(tmp_path / "run" / "cameras.json"), cameras, strict=True):
        assert kept.size == camera.size and torch.equal(kept.K, camera.K)
        assert torch.allclose(kept.viewmat, camera.viewmat, atol=1e-5)
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert report["format"] == 1 and report["psnr"] == finished.psnr and report["peak_memory_bytes"] > 1e6
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[0] == {"format": 1}
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 4 and all(loss == loss for loss in losses)
    assert {line["event"] for line in lines if "event" in line} >= {"densify", "clone", "reinit", "simplify1"}
    assert [line["iteration"] for line in lines if "psnr" in line] == [20, 40]


def test_a_stopped_run_goes_on(ball, short_config, tmp_path):
    whole = list(reconstruct(ball, short_config(), tmp_path / "whole"))[-1]
    stop = False
    stream = reconstruct(ball, short_config(), tmp_path / "run", should_stop=lambda: stop)
    for event in stream:
        stop = event.iteration >= 13 if isinstance(event, Progress) else stop
    assert event.stopped and not event.mesh.exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["iteration"] == 13
    rest = list(reconstruct(ball, short_config(), tmp_path / "run"))
    assert [event.iteration for event in rest if isinstance(event, Progress)][1] == 14
    assert rest[-1].psnr == whole.psnr
    assert rest[-1].splats.read_bytes() == whole.splats.read_bytes()
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in metrics if "loss" in line] == [10, 20, 30, 40]


def test_checkpoints_of_other_settings_are_refused(ball, short_config, tmp_path):
    list(reconstruct(ball, short_config(**{"schedule.iterations": 3}), tmp_path))
    with pytest.raises(TrainingError, match=r"other settings \(optim.opacity_lr\)"):
        list(reconstruct(ball, short_config(**{"optim.opacity_lr": 0.123}), tmp_path))


def test_a_run_of_an_earlier_version_goes_on(ball, short_config, tmp_path):
    """Its checkpoint has settings that are called otherwise now; one that nobody knows any more is named."""
    list(reconstruct(ball, short_config(**{"schedule.iterations": 3}), tmp_path))
    (path,) = (tmp_path / "checkpoints").iterdir()
    state = torch.load(path, weights_only=True)
    del state["config"]["mesh"]["long_edges"], state["config"]["region"]
    state["config"]["mesh"] |= {"filter_large_edges": True, "collapse_large_edges": False}
    torch.save(state, path)
    rest = list(reconstruct(ball, short_config(**{"schedule.iterations": 5}), tmp_path))
    assert [event.iteration for event in rest if isinstance(event, Progress)][1:3] == [4, 5]

    for change in ({"filter_large_edges": False}, {"of_yore": 3}):
        torch.save(state | {"config": state["config"] | {"mesh": state["config"]["mesh"] | change}, "iteration": 5},
                   tmp_path / "checkpoints" / "00000005.pt")
        says = "mesh.long_edges" if "of_yore" not in change else "mesh.of_yore"
        with pytest.raises(TrainingError, match=rf"other settings \({says}\)"):
            list(reconstruct(ball, short_config(**{"schedule.iterations": 7}), tmp_path))


def test_checkpoints_of_other_photos_are_refused(ball, short_config, tmp_path):
    list(reconstruct(ball, short_config(**{"schedule.iterations": 3}), tmp_path))
    other = dataclasses.replace(ball, train=ball.train[1:])
    with pytest.raises(TrainingError, match="of other photos"):
        list(reconstruct(other, short_config(**{"schedule.iterations": 5}), tmp_path))


def test_without_resume_a_run_starts_anew(ball, short_config, tmp_path):
    list(reconstruct(ball, short_config(**{"schedule.iterations": 5}), tmp_path))
    again = list(reconstruct(ball, short_config(**{"schedule.iterations": 5}), tmp_path, resume=False))
    assert [event.iteration for event in again if isinstance(event, Progress)][1] == 1


def test_a_folder_that_cannot_be_written_is_said(ball, short_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="file/run could not be written"):
        next(reconstruct(ball, short_config(), tmp_path / "file" / "run"))


def test_a_fresh_run_forgets_the_old_one(ball, short_config, tmp_path):
    """Else a fresh run that is stopped would go on from the old run's later checkpoint."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "00009999.pt").write_bytes(b"the old run")
    for name in ("mesh.ply", "splats.ply", "run.json"):
        (tmp_path / name).write_bytes(b"the old run")
    finished = list(reconstruct(ball, short_config(), tmp_path, resume=False, should_stop=lambda: True))[-1]
    assert finished.stopped and not finished.mesh.exists() and not finished.splats.exists()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000000.pt"]
    assert list(reconstruct(ball, short_config(), tmp_path, should_stop=lambda: True))[-1].stopped
