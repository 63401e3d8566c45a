# SPDX-License-Identifier: Apache-2.0
"""Lines of the metrics: complete and in order, whenever their numbers come."""

import json

import pytest
import torch

from milo.backend.training.errors import TrainingError
from milo.backend.training.metrics import LINES, Metrics
from milo.backend.training.run_directory import RunDirectory


class _Late:
    """An event of a GPU that is behind."""

    def __init__(self):
        self.done = False

    def query(self):
        return self.done

    def synchronize(self):
        self.done = True


@pytest.fixture
def metrics(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.start_metrics(0)
    return Metrics(directory)


def lines(metrics):
    return [json.loads(line) for line in metrics.directory.metrics.read_text().splitlines()][1:]


def step(metrics, k, loss, **terms):
    metrics.add_step({"iteration": k}, {"loss": torch.tensor(loss), **{n: torch.tensor(v) for n, v in terms.items()}})


def late(metrics):
    """Make the newest step's numbers come later; the event they come with."""
    event = _Late()
    metrics._coming[-1] = metrics._coming[-1]._replace(arrived=event)
    return event


def test_numbers_that_are_late_hold_up_nothing_and_get_into_their_lines(metrics):
    step(metrics, 10, 0.5, photometric=0.25)
    event = late(metrics)
    metrics.add({"iteration": 11, "event": "densify"})
    step(metrics, 20, 0.125)
    assert metrics.newest_loss() is None and not event.done      # nor may a later one overtake
    event.done = True
    assert metrics.newest_loss() == 0.125 and metrics.newest_loss() is None
    metrics.flush()
    assert lines(metrics) == [{"iteration": 10, "loss": 0.5, "photometric": 0.25},
                              {"iteration": 11, "event": "densify"}, {"iteration": 20, "loss": 0.125}]


def test_a_flush_waits_for_all(metrics):
    step(metrics, 10, 0.5)
    event = late(metrics)
    metrics.flush()
    assert event.done and lines(metrics) == [{"iteration": 10, "loss": 0.5}]


def test_many_lines_are_written_on_the_way(metrics):
    for k in range(LINES + 1):
        step(metrics, k, 1.0)
    assert len(lines(metrics)) == LINES


def test_a_loss_that_is_no_number_ends_the_run_and_names_its_iteration(metrics):
    step(metrics, 30, float("nan"))
    with pytest.raises(TrainingError, match="not a number any more at iteration 30"):
        metrics.newest_loss()


@pytest.mark.gpu
def test_nothing_waits_for_the_gpu(metrics):
    loss = torch.ones((), device="cuda")
    metrics.add_step({"iteration": 0}, {"loss": loss})
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.cuda._sleep(200_000_000)
        metrics.add_step({"iteration": 1}, {"loss": loss * 2, "term": loss})
        assert metrics.newest_loss() == 1.0
        assert metrics.newest_loss() is None
    finally:
        torch.cuda.set_sync_debug_mode("default")
    metrics.flush()
    assert lines(metrics) == [{"iteration": 0, "loss": 1.0}, {"iteration": 1, "loss": 2.0, "term": 1.0}]
