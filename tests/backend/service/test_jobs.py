# SPDX-License-Identifier: Apache-2.0
"""Jobs with real worker processes: queue, pause, cancel, crashes, a killed server."""

import contextlib
import os
import re
import signal
import sqlite3
import time

import pytest

from milo.protocol import ProtocolError
from milo.protocol import messages as m


def worker_pids(job: str) -> list[int]:
    """Processes that work on a job, found by their command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline") as file:
                    words = file.read().split("\0")
            except OSError:
                continue
            if "milo.backend.service.worker" in words and any(word.endswith(job) for word in words):
                found.append(int(entry))
    return found


def gone(job: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while worker_pids(job) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not worker_pids(job)


def test_a_job_from_start_to_finish(client):
    started = client.start("bunny", iterations=30, step_s=0.03)
    assert (started.name, started.device) == ("bunny", "auto")
    seen = [started]
    while seen[-1].state != "finished":
        came = client.ask(m.WatchJob(started.job, seen[-1].revision, 5.0))
        seen += [came] if isinstance(came, m.JobInfo) else []
    iterations = [info.iteration for info in seen if info.stage == "mesh"]
    assert iterations == sorted(iterations)
    assert seen[-1].iteration == seen[-1].iterations
    assert seen[-1].loss == pytest.approx(1 / 28), "the last one measured, whichever steps were told"
    assert {"starting", "loading", "mesh"} <= {info.stage for info in seen}
    assert seen[-1].psnr == 31.5 and "as a fake needs" in seen[-1].note
    assert "cpu" in {info.device for info in seen}, "where it is done is told once it is known"
    assert seen[-1].mesh_seq >= 2
    assert len(seen) < 20, "at most about five words a second"
    listed = client.ask(m.ListJobs()).jobs
    assert seen[-1] in listed


def test_results_can_be_fetched(client):
    job = client.wait(client.start(iterations=5).job, "finished").job
    files = {file.path: file.size for file in client.ask(m.ListFiles(job)).files}
    assert set(files) == {"run/metrics.jsonl", "run/splats.ply", "run/pictures/0.png", "preview.png"}
    first = client.ask(m.GetFile(job, "run/splats.ply", 0, 6000))
    second = client.ask(m.GetFile(job, "run/splats.ply", 6000, 6000))
    assert (first.size, len(first.data), len(second.data)) == (10_240, 6000, 4240)
    assert bytes(first.data) + bytes(second.data) == bytes(range(256)) * 40
    assert "hello from the fake runner" in client.ask(m.TailLog(job)).text


def test_nothing_but_results_can_be_fetched(client, server):
    job = client.wait(client.start(iterations=5).job, "finished").job
    folder = server.home / "jobs" / job
    (folder / "run" / "link").symlink_to(server.home / "keys" / "server.json")
    for path in ("request.json", "run/link", "run", "run/nothing", "snapshots/00000001/verts.npy"):
        with pytest.raises(ProtocolError, match="has no result"):
            client.ask(m.GetFile(job, path))
    assert "run/link" not in {file.path for file in client.ask(m.ListFiles(job)).files}


@pytest.mark.parametrize(("how", "error", "hint"), [
    ("signal", "killed .signal 9.. Its last line was: about to die", "out of memory"),
    ("exit", "ended unexpectedly .exit status 3.", "log says more"),
    ("error", "scene/images/a.jpg: this is not a photo", ""),
    ("memory", "Out of memory: Unable to allocate 9 TB", "smaller photos"),
])
def test_a_worker_that_fails_takes_down_its_job_only(client, how, error, hint):
    failed = client.wait(client.start(die=how, die_at=3).job, "failed")
    assert re.search(error, failed.error), failed.error
    assert hint in failed.hint
    assert failed.device == ""
    assert client.wait(client.start(iterations=2).job, "finished")


def test_a_worker_killed_from_outside(client):
    job = client.start(iterations=10_000).job
    client.wait(job, lambda info: info.iteration > 0)
    os.kill(worker_pids(job)[0], signal.SIGKILL)
    assert "signal 9" in client.wait(job, "failed").error


def test_pause_keeps_the_place_in_the_queue(client):
    first = client.start("first", iterations=10_000).job
    client.wait(first, lambda info: info.iteration > 3)
    second = client.start("second", iterations=10_000).job
    third = client.start("third", iterations=5).job
    assert client.ask(m.GetJob(second)).state == "queued"

    assert client.ask(m.PauseJob(first)).stage == "pausing"
    paused = client.wait(first, "paused")
    assert gone(first, 1.0)
    client.wait(second, "running")
    assert client.ask(m.ResumeJob(first)).state == "queued"
    assert client.ask(m.GetJob(third)).state == "queued"
    client.ask(m.CancelJob(second))
    resumed = client.wait(first, lambda info: info.state == "running" and info.stage == "mesh")
    assert resumed.iteration > paused.iteration, "it goes on from its checkpoint"
    assert client.ask(m.GetJob(third)).state == "queued", "first was before third"
    client.ask(m.CancelJob(first))
    assert client.wait(third, "finished")


def test_resume_while_pausing_goes_on(client):
    job = client.start(iterations=30, step_s=0.05).job
    client.wait(job, lambda info: info.iteration > 0)
    client.ask(m.PauseJob(job))
    client.ask(m.ResumeJob(job))
    assert client.wait(job, "finished").state == "finished"


@pytest.mark.parametrize("deaf", [False, True])
def test_cancel_takes_less_than_two_seconds(client, deaf):
    """Also of a worker that ignores SIGTERM; what was saved stays and can be resumed."""
    job = client.start(iterations=10_000, deaf=deaf).job
    client.wait(job, lambda info: info.iteration > 5)
    began = time.monotonic()
    client.ask(m.CancelJob(job))
    cancelled = client.wait(job, "cancelled")
    assert gone(job, 2.0 - (time.monotonic() - began))
    assert time.monotonic() - began < 2.0
    assert cancelled.error == ""
    assert client.ask(m.CancelJob(job)).state == "cancelled"
    with pytest.raises(ProtocolError, match="nothing to pause"):
        client.ask(m.PauseJob(job))


def test_delete_ends_and_removes(client, server):
    job = client.start(iterations=10_000).job
    client.wait(job, lambda info: info.iteration > 0)
    watcher = server.client()
    waiting = watcher.send(m.NextMesh(job, after=1000, wait_s=20))
    client.ask(m.DeleteJob(job))
    with pytest.raises(ProtocolError, match="no job"):
        watcher.receive(waiting, 5)
    with pytest.raises(ProtocolError) as no:
        client.ask(m.GetJob(job))
    assert no.value.code == "unknown_job"
    deadline = time.monotonic() + 3
    while (server.home / "jobs" / job).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (server.home / "jobs" / job).exists()


def test_words_on_stdout_are_not_the_workers(client):
    """A library that prints what looks like a word does not end the job."""
    done = client.wait(client.start(iterations=20, chatter=True).job, lambda info: info.state != "running")
    assert (done.state, done.psnr) == ("finished", 31.5)


def test_a_killed_server_leaves_jobs_that_can_be_resumed(launch):
    server = launch()
    client = server.client()
    running = client.start("running", iterations=50, step_s=0.05).job
    queued = client.start("queued", iterations=10_000).job
    before = client.wait(running, lambda info: info.iteration >= 8)
    server.kill()
    assert gone(running, 5.0), "a worker without its server saves and ends"

    client = launch().client()
    infos = {info.job: info for info in client.ask(m.ListJobs()).jobs}
    assert infos[running].state == "interrupted"
    assert infos[running].revision > before.revision, "a client that watched hears of it"
    assert infos[queued].state == "running", "the queue goes on"
    client.ask(m.CancelJob(queued))
    client.ask(m.ResumeJob(running))
    resumed = client.wait(running, lambda info: info.stage == "mesh")
    assert resumed.iteration > before.iteration
    done = client.wait(running, "finished")
    assert done.name == "running"


def test_a_job_resumed_at_once_waits_for_the_orphan(launch):
    """Server killed and started again while the old worker still runs: two never work in one folder."""
    server = launch()
    client = server.client()
    job = client.start(iterations=30, step_s=0.1).job
    client.wait(job, lambda info: info.iteration >= 2)
    server.kill()
    client = launch().client()
    client.ask(m.ResumeJob(job))
    assert client.wait(job, "finished", 20).state == "finished"


def test_a_server_that_stops_lets_workers_save(launch):
    server = launch()
    client = server.client()
    job = client.start(iterations=10_000).job
    client.wait(job, lambda info: info.iteration > 5)
    client.ask(m.StopServer())
    assert server.process.wait(10) == 0
    assert int((server.home / "jobs" / job / "run" / "checkpoint.txt").read_text()) > 5
    info = launch().client().ask(m.GetJob(job))
    assert (info.state, info.device, info.error) == ("interrupted", "", "")


def test_a_database_that_cannot_be_written_does_not_end_the_server(launch):
    server = launch()
    client = server.client()
    doomed, other = (client.start(name, iterations=10_000).job for name in ("doomed", "other"))
    client.wait(doomed, "running")
    with contextlib.closing(sqlite3.connect(server.home / "state.sqlite", isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        client.ask(m.DeleteJob(doomed))
        time.sleep(2)                                # longer than the worker takes to end and the store waits
    assert client.wait(other, "running", 30).state == "running"
    deadline = time.monotonic() + 10
    while (server.home / "jobs" / doomed).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (server.home / "jobs" / doomed).exists()
    time.sleep(0.5)                                  # it forgets the job once the files are gone
    server.kill()
    assert [info.job for info in launch().client().ask(m.ListJobs()).jobs] == [other]


def test_two_devices_work_at_once(launch):
    client = launch("--device", "cpu", "--device", "cpu:1").client()
    jobs = [client.start(f"{i}", iterations=10_000).job for i in range(3)]
    devices = {client.wait(job, "running").device for job in jobs[:2]}
    assert devices == {"cpu", "cpu:1"}
    assert client.ask(m.GetJob(jobs[2])).state == "queued"


def test_a_request_that_a_crash_kept_from_becoming_a_job_is_removed(launch):
    server = launch()
    client = server.client()
    done = client.wait(client.start(iterations=2).job, "finished").job
    server.kill()
    orphan = server.home / "jobs" / "20200101-000000-abcdef"
    orphan.mkdir()
    (orphan / "request.json").write_text("{}")
    launch()
    assert not orphan.exists()
    assert (server.home / "jobs" / done / "run" / "splats.ply").exists()
