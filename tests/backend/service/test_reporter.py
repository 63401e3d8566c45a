# SPDX-License-Identifier: Apache-2.0
"""Meshes on their way from training to disk: training waits for none of their levels of detail."""

import dataclasses
import io
import sys
import time

import pytest
from fake_runner import sheet

from milo.backend.service import reporter as module
from milo.backend.service.snapshots import read_snapshot, sequence
from milo.backend.training.events import Snapshot

HOLD = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
TRIANGLES = 201_000


@pytest.fixture
def reporter(tmp_path, monkeypatch):
    """One whose levels of detail are in the making until there is a file `go`, and then fail."""
    held = [sys.executable, "-c", HOLD + "sys.exit(1)", str(tmp_path / "go")]
    monkeypatch.setattr(module, "command", lambda folder, triangles: held)
    made = module.Reporter(tmp_path, io.BytesIO(), interval_s=0.0)
    yield made
    made.end()


def live(iteration: int, triangles: int = TRIANGLES) -> Snapshot:
    return Snapshot("live", iteration, *sheet(triangles, 0.0), None, None)


def test_a_mesh_appears_when_its_level_of_detail_is_there(tmp_path):
    reporter = module.Reporter(tmp_path, io.BytesIO(), interval_s=0.0)
    reporter.snapshot(live(1))
    assert sequence(reporter.snapshots) == []
    end = time.monotonic() + 60
    while reporter.making and time.monotonic() < end:
        time.sleep(0.01)
        reporter.show()
    assert len(read_snapshot(reporter.snapshots, 1, module.LIVE_TRIANGLES).mesh.faces) <= module.LIVE_TRIANGLES
    assert reporter.pipe.getvalue().count(b"snapshot") == 1


def test_the_newest_waits_meanwhile(reporter, tmp_path):
    for iteration in (1, 2, 3):
        reporter.snapshot(live(iteration))
    reporter.show()
    assert sequence(reporter.snapshots) == [] and reporter.pipe.getvalue() == b""
    (tmp_path / "go").touch()
    reporter.show(wait=True)
    assert b'"seq": 1' in reporter.pipe.getvalue(), "shown, for all that its level of detail failed"
    assert read_snapshot(reporter.snapshots, 1, module.LIVE_TRIANGLES) is None, "the server will make it"
    reporter.show(wait=True)
    assert [read_snapshot(reporter.snapshots, seq, 0).iteration for seq in sequence(reporter.snapshots)] == [1, 3]
    reporter.snapshot(live(4, 50))
    assert sequence(reporter.snapshots) == [1, 2, 3], "a small mesh appears at once"


def test_the_final_mesh_does_not_wait_behind_others(reporter):
    reporter.snapshot(live(1))
    reporter.snapshot(live(2))
    reporter.snapshot(dataclasses.replace(live(3), kind="final"))
    assert [read_snapshot(reporter.snapshots, seq, 0).iteration for seq in sequence(reporter.snapshots)] == [1, 3]


def test_what_cannot_be_shown_holds_nothing_up(reporter, tmp_path, monkeypatch):
    def refuse(building):
        raise OSError(28, "No space left on device")

    reporter.snapshot(live(1))
    reporter.snapshot(live(2))
    with monkeypatch.context() as full:
        full.setattr(module, "publish_snapshot", refuse)
        (tmp_path / "go").touch()
        reporter.show(wait=True)
        reporter.show(wait=True)
    assert [entry.name for entry in reporter.snapshots.iterdir()] == [], "nothing is left lying about"
    reporter.snapshot(live(3, 50))
    assert [read_snapshot(reporter.snapshots, seq, 0).iteration for seq in sequence(reporter.snapshots)] == [3]


def test_who_stops_does_not_wait(reporter):
    reporter.snapshot(live(7))
    process = reporter.making.lod
    reporter.end()
    assert process.returncode not in (None, 0)
    assert read_snapshot(reporter.snapshots, 1, 0).iteration == 7
    assert b"snapshot" in reporter.pipe.getvalue()
