# SPDX-License-Identifier: Apache-2.0
"""When things happen: the dry run of the reference's schedule, and a run that does what its schedule says."""

from collections import Counter

import pytest

from milo.backend import cli
from milo.backend.config import load_config
from milo.backend.training.dry_run import spans
from milo.backend.training.loop import Training
from milo.backend.training.schedule import events, timeline


def at(config, name):
    return [k for k, event in timeline(config) if event == name]


def test_dry_run_of_the_reference():
    """Spec training.md, section 6 and appendix A.13."""
    parity = load_config(["parity"])
    log = list(timeline(parity))
    counts = Counter(name for _, name in log)
    assert {name: counts[name] for name in ("densify", "clone", "delaunay", "sdf", "labels", "filter")} == {
        "densify": 23, "clone": 9, "delaunay": 20, "sdf": 11, "labels": 51, "filter": 215}
    assert len({k for k, name in log if name == "skipped step"}) == 32
    assert sum(events(parity, k).step for k in range(1, 18001)) == 17_999
    assert at(parity, "densify") == [k for k in range(600, 3000, 100) if k != 2000]
    assert at(parity, "clone") == [500, 750, 1000, 1250, 1500, 1750, 2250, 2500, 2750]
    assert at(parity, "reinit") == [2000] and at(parity, "simplify1") == [3000] and at(parity, "simplify2") == [8000]
    assert at(parity, "sh") == [4000, 5000, 6000]
    assert at(parity, "delaunay") == [8001, *range(8500, 18000, 500)]
    assert at(parity, "sdf") == [8001, *range(8500, 13001, 500)]
    assert at(parity, "labels") == [8001, *range(8200, 18001, 200)]
    assert at(parity, "filter")[-1] == 17_800
    assert events(parity, 2999).gather and not events(parity, 2999).geometry
    assert events(parity, 3000).half and events(parity, 3000).geometry and not events(parity, 3001).half


def test_dry_run_of_the_reference_event_by_event():
    """The table of section 6, row by row; events that come with a change of the set stand beside it."""
    expected = [(0, "filter")]
    changes = {k: ["densify"] for k in range(600, 3000, 100) if k != 2000}
    for k in (500, 750, 1000, 1250, 1500, 1750, 2250, 2500, 2750):
        changes[k] = [*changes.get(k, []), "clone"]
    changes |= {2000: ["reinit"], 3000: ["simplify1"], 8000: ["simplify2"]}
    for k in range(1, 18_001):
        expected += [(k, "sh")] * (k in (4000, 5000, 6000))
        expected += [(k, "delaunay")] * (k == 8001 or (k % 500 == 0 and 8500 <= k <= 17_500))
        expected += [(k, "sdf")] * (k == 8001 or (k % 500 == 0 and 8500 <= k <= 13_000))
        expected += [(k, "labels")] * (k == 8001 or (k % 200 == 0 and 8200 <= k <= 18_000))
        for name in changes.get(k, []):
            expected += [(k, name), (k, "filter")] + [(k, "filter")] * (name == "reinit")
        expected += [(k, "filter")] * (k % 100 == 0 and k <= 17_800)
        expected += [(k, "skipped step")] * (k in changes)
    assert list(timeline(load_config(["parity"]))) == expected


def test_dry_run_from_the_command_line(capfd):
    for arguments, says in (([], "    23  600 to 1900 every 100, 2100 to 2900 every 100\n"),
                            (["--log"], "\n  8001 delaunay\n  8001 sdf\n  8001 labels\n")):
        with pytest.raises(SystemExit) as end:
            cli.main(["schedule", "--preset", "parity", *arguments])
        assert not end.value.code
        assert says in capfd.readouterr().out


def test_iterations_in_words():
    assert spans([5, 7, 9, 9, 20, 30, 40, 50, 51, 52, 99]) == "5 to 9 every 2, 20 to 50 every 10, 51, 52, 99"
    assert spans([1, 2, 3]) == "1 to 3" and spans([]) == ""


def test_densify_comes_before_clone_in_one_iteration():
    log = list(timeline(load_config(["parity"])))
    assert [name for k, name in log if k == 1000] == ["densify", "filter", "clone", "filter", "filter", "skipped step"]


def test_the_preview_goes_through_every_phase_in_order():
    preview = load_config(["preview"])
    first = {name: at(preview, name)[0] for name in ("clone", "reinit", "simplify1", "sh", "simplify2", "delaunay")}
    assert list(first.values()) == sorted(first.values())
    assert at(preview, "labels")[-1] <= preview.schedule.iterations
    assert all(events(preview, k).geometry for k in at(preview, "delaunay"))


def test_a_run_does_what_its_schedule_says(ball, short_config):
    config = short_config()
    log = []
    training = Training(ball, config, on_event=lambda k, name: log.append((k, name)))
    sizes = []
    for _ in range(config.schedule.iterations):
        training.step()
        sizes.append(len(training.gaussians))
    assert log == list(timeline(config))
    for k in range(2, 41):
        if not events(config, k).changes_set:
            assert sizes[k - 1] == sizes[k - 2]
    assert training.gaussians.storage_degree == 1 and training.gaussians.sh_degree == 1
