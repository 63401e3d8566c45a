# SPDX-License-Identifier: Apache-2.0
"""Going on exactly where a run was, and what happens to damaged files and full disks."""

import errno
import os
import threading
import time

import pytest
import torch

from milo.backend.training import checkpoint
from milo.backend.training.errors import TrainingError
from milo.backend.training.loop import Training


@pytest.mark.parametrize("first", [5, 15, 26])   # before, inside and after the growth of the set
def test_resumed_training_is_the_same_to_the_bit(ball, short_config, tmp_path, first):
    straight = Training(ball, short_config())
    losses = [float(straight.step().loss) for _ in range(first + 10)]

    begun = Training(ball, short_config())
    for _ in range(first):
        begun.step()
    checkpoint.save_checkpoint(tmp_path, {"iteration": first, "training": begun.state_dict()})
    resumed = Training(ball, short_config())
    resumed.load_state_dict(checkpoint.load_newest(tmp_path)["training"])
    assert resumed.iteration == first
    assert [float(resumed.step().loss) for _ in range(10)] == losses[first:]
    for name, value in straight.gaussians.tensors().items():
        assert torch.equal(value, resumed.gaussians.tensors()[name]), name


def test_only_the_newest_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    for k in (10, 20, 30):
        checkpoint.save_checkpoint(tmp_path, {"iteration": k}, keep=2)
    assert [path.stem for path in checkpoint.checkpoints(tmp_path)] == ["00000020", "00000030"]
    newest = checkpoint.checkpoints(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    assert checkpoint.load_newest(tmp_path)["iteration"] == 20
    checkpoint.checkpoints(tmp_path)[0].write_bytes(b"")
    with pytest.raises(TrainingError, match="damaged"):
        checkpoint.load_newest(tmp_path)
    assert checkpoint.load_newest(tmp_path / "none") is None


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    torch.save({"format": 2, "iteration": 1}, tmp_path / "00000001.pt")
    with pytest.raises(TrainingError, match="format 2"):
        checkpoint.load_newest(tmp_path)


def test_checkpoints_hold_data_only(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": 1, "iteration": 1, "trap": Trap()}, tmp_path / "00000001.pt")
    with pytest.raises(TrainingError):
        checkpoint.load_newest(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_is_said_and_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    checkpoint.save_checkpoint(tmp_path, {"iteration": 1})

    def no_space(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", no_space)
    with pytest.raises(TrainingError, match=r"disk is full.*00000002\.pt"):
        checkpoint.save_checkpoint(tmp_path, {"iteration": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.pt"]


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    checkpoint.save_checkpoint(tmp_path, {"iteration": 3})

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "00000003.pt"))

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(PermissionError):
        checkpoint.load_newest(tmp_path)


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """What is written is the state of the moment, however it changes meanwhile; the next one waits its turn."""
    disk, fsync, saves = threading.Event(), os.fsync, []
    monkeypatch.setattr(checkpoint.os, "fsync", lambda number: (saves.append(disk.wait(30)), fsync(number)))
    writer = checkpoint.CheckpointWriter(tmp_path, keep=2)
    means = torch.zeros(3)
    writer.save({"iteration": 1, "means": [means]})
    means += 7
    writer.check()
    assert (writer.saved_at, checkpoint.load_newest(tmp_path)) == (-1, None), "not there yet, and nobody waited"
    disk.set()
    writer.save({"iteration": 2, "means": [means]})
    assert writer.saved_at == 1 and checkpoint.load_newest(tmp_path)["means"][0].tolist() == [0, 0, 0]
    writer.close()
    assert checkpoint.load_newest(tmp_path)["means"][0].tolist() == [7, 7, 7] and saves == [True, True]


def test_a_failure_beside_training_is_noticed(tmp_path):
    writer = checkpoint.CheckpointWriter(tmp_path / "file" / "folder", keep=2)
    (tmp_path / "file").touch()
    writer.save({"iteration": 1})
    with pytest.raises(TrainingError, match="could not be written"):
        for _ in range(1000):
            writer.check()
            time.sleep(0.01)
    assert writer.saved_at == -1
    writer.close()
