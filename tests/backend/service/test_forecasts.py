# SPDX-License-Identifier: Apache-2.0
"""What a job will take, asked before it starts: over a real socket, and corrected by runs that have finished."""

import json
import time

import pytest

from milo.backend.machine import GIB
from milo.backend.service import forecasts
from milo.backend.training import outlook
from milo.protocol import ProtocolError
from milo.protocol.outlook import EstimateJob

SUZANNE = EstimateJob(40, 400, 400, 5000, ("preview",))


def test_a_server_answers_once_it_knows_its_device(client, server):
    deadline, answer = time.monotonic() + 60, None
    while answer is None and time.monotonic() < deadline:
        try:
            answer = client.ask(SUZANNE)
        except ProtocolError as error:
            assert error.code == "not_ready"
            time.sleep(0.2)
    assert not answer.measured and 10 < answer.seconds < 400
    assert 0.3 * GIB < answer.memory < 2 * GIB < answer.available
    wide = client.ask(EstimateJob(40, 4000, 3000, 0, ("preview",)))
    assert (wide.width, wide.height) == (400, 300)
    with pytest.raises(ProtocolError, match=r"mesh\.size"):
        client.ask(EstimateJob(40, 400, 400, 0, ("preview",), {"mesh.size": 3}))
    with pytest.raises(ProtocolError, match="nonsense"):
        client.ask(EstimateJob(40, 400, 400, 0, ("nonsense",)))

    forecasts.learn(server.home, "cpu", 3 * answer.seconds, answer.seconds)
    learnt = client.ask(SUZANNE)
    assert learnt.measured and learnt.memory == answer.memory
    assert learnt.seconds - outlook.START_S == pytest.approx(3 * (answer.seconds - outlook.START_S), rel=1e-3)


@pytest.mark.parametrize(("photos", "preset", "kind", "took_s"), [     # runs of docs/benchmarks.md
    ((40, 400, 400), "preview", "cpu", 158), ((52, 800, 533), "preview", "cpu", 73),
    ((40, 400, 400), "default", "cuda", 40.8), ((50, 561, 1000), "default", "cuda", 52.6),
    ((50, 561, 1000), "dense", "cuda", 100.5)])
def test_known_runs_are_foreseen_within_a_factor_of_two(tmp_path, monkeypatch, photos, preset, kind, took_s):
    monkeypatch.setattr("milo.backend.machine.cores", lambda: 2)
    answer = forecasts.estimate(tmp_path, EstimateJob(*photos, preset=(preset,)), kind, 100 * GIB)
    assert took_s / 2 < answer.seconds < 2 * took_s


def test_more_work_takes_longer(tmp_path):
    def seconds(width=800, kind="cpu", **settings):
        question = EstimateJob(40, width, width, preset=("preview",),
                               settings={key.replace("__", "."): value for key, value in settings.items()})
        return forecasts.estimate(tmp_path, question, kind, None).seconds
    assert seconds(schedule__iterations=4000, mesh__start_iter=2001) > 1.5 * seconds()
    assert seconds(data__max_width=800) > 2 * seconds()
    assert seconds(mesh__every=1) > seconds() > seconds(extract__refine_iters=0)
    assert seconds(kind="cuda") < seconds(width=400)
    assert seconds(service__snapshot_interval_s=1.0) == seconds()


def test_the_newest_runs_count_and_nothing_odd_does(tmp_path):
    for factor in (50, 2, 2, 2, 2, 2):
        forecasts.learn(tmp_path, "cpu", factor * 100.0, 100.0)
    assert forecasts.speeds(tmp_path) == {"cpu": [2.0] * forecasts.KEPT}
    forecasts.learn(tmp_path, "cuda", 1e9, 1.0)
    assert forecasts.speeds(tmp_path)["cuda"] == [100.0]
    for text in ("", "[]", '{"format": 2, "speeds": {}}', '{"format": 1, "speeds": {"cpu": 3}}'):
        (tmp_path / "speeds.json").write_text(text)
        assert forecasts.speeds(tmp_path) == {}
    (tmp_path / "speeds.json").write_text(json.dumps({"format": 1, "speeds": {"cpu": [-1, 0]}}))
    assert not forecasts.estimate(tmp_path, SUZANNE, "cpu", None).measured
