# SPDX-License-Identifier: Apache-2.0
"""Meshes on their way from training to disk: training waits for none of their levels of detail."""

import dataclasses
import io
import sys
import time

import pytest
from fake_runner import sheet

from milo.backend.service import worker
from milo.backend.service.snapshots import read_snapshot, sequence
from milo.backend.training.events import Snapshot

HOLD = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
TRIANGLES = 201_000


@pytest.fixture
def reporter(tmp_path, monkeypatch):
    """One whose levels of detail are in the making until there is a file `go`, and then fail."""
    held = [sys.executable, "-c", HOLD + "sys.exit(1)", str(tmp_path / "go")]
    monkeypatch.setattr(worker, "command", lambda folder, triangles: held)
    made = worker.Reporter(tmp_path, io.BytesIO(), interval_s=0.0)
    yield made
    made.end(hurry=True)


def live(iteration: int, triangles: int = TRIANGLES) -> Snapshot:
    return Snapshot("live", iteration, *sheet(triangles, 0.0), None, None)


def test_a_mesh_appears_when_its_level_of_detail_is_there(tmp_path):
    reporter = worker.Reporter(tmp_path, io.BytesIO(), interval_s=0.0)
    reporter.snapshot(live(1))
    assert sequence(reporter.snapshots) == []
    end = time.monotonic() + 60
    while reporter.making and time.monotonic() < end:
        time.sleep(0.01)
        reporter.show()
    assert len(read_snapshot(reporter.snapshots, 1, worker.LIVE_TRIANGLES).mesh.faces) <= worker.LIVE_TRIANGLES
    assert reporter.pipe.getvalue().count(b"snapshot") == 1


def test_the_newest_waits_meanwhile(reporter, tmp_path):
    for iteration in (1, 2, 3):
        reporter.snapshot(live(iteration))
    reporter.show()
    assert sequence(reporter.snapshots) == [] and reporter.pipe.getvalue() == b""
    (tmp_path / "go").touch()
    reporter.show(wait=True)
    assert sequence(reporter.snapshots) == [1], "shown, for all that its level of detail failed"
    assert read_snapshot(reporter.snapshots, 1, worker.LIVE_TRIANGLES) is None, "the server will make it"
    reporter.show(wait=True)
    assert [read_snapshot(reporter.snapshots, seq, 0).iteration for seq in sequence(reporter.snapshots)] == [1, 3]
    reporter.snapshot(live(4, 50))
    assert sequence(reporter.snapshots) == [1, 2, 3], "a small mesh appears at once"


def test_the_final_mesh_does_not_wait_behind_others(reporter, tmp_path):
    reporter.snapshot(live(1))
    reporter.snapshot(live(2))
    (tmp_path / "go").touch()
    reporter.snapshot(dataclasses.replace(live(3), kind="final"))
    reporter.end(hurry=False)
    assert [read_snapshot(reporter.snapshots, seq, 0).iteration for seq in sequence(reporter.snapshots)] == [1, 3]


def test_who_stops_does_not_wait(reporter):
    reporter.snapshot(live(7))
    process = reporter.making.lod
    reporter.end(hurry=True)
    assert process.returncode not in (None, 0)
    assert read_snapshot(reporter.snapshots, 1, 0).iteration == 7
    assert b"snapshot" in reporter.pipe.getvalue()
