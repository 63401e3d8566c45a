# SPDX-License-Identifier: Apache-2.0
"""A run may stop on one device and go on on another."""

import threading

import pytest
import torch

from milo.backend.training.checkpoint import on_device
from milo.backend.training.events import Progress, Snapshot
from milo.backend.training.loop import Training
from milo.backend.training.reconstruct import reconstruct


def test_a_state_moves_as_a_whole():
    state = {"a": torch.ones(2), "b": [torch.ones(3), 4], "c": {"d": (torch.ones(1), None), "e": "name"}}
    moved = on_device(state, torch.device("meta"))
    assert moved["a"].is_meta and moved["b"][0].is_meta and moved["c"]["d"][0].is_meta
    assert moved["b"][1] == 4 and moved["c"]["d"][1] is None and moved["c"]["e"] == "name"


WITH_A_MESH = {"schedule.iterations": 60, "mesh.start_iter": 41, "mesh.stop_iter": 60, "mesh.max_points": 0,
               "mesh.delaunay_interval": 8, "mesh.sdf_interval": 8, "mesh.labels_interval": 8,
               "extract.refine_iters": 3}


@pytest.mark.gpu
@pytest.mark.parametrize("first, then", [("cuda", "cpu"), ("cpu", "cuda")])
@pytest.mark.parametrize("stop_at", [13, 50])
def test_a_run_goes_on_on_the_other_device(ball, short_config, tmp_path, first, then, stop_at):
    config = short_config(**WITH_A_MESH)
    stop = threading.Event()
    for event in reconstruct(ball, config, tmp_path, device=first, should_stop=stop.is_set):
        if isinstance(event, Progress) and event.iteration >= stop_at:
            stop.set()
    rest = list(reconstruct(ball, config, tmp_path, device=then))
    assert [event.iteration for event in rest if isinstance(event, Progress)][1] == stop_at + 1
    assert rest[-1].mesh.exists() and rest[-1].psnr > 9.5     # 10.7 on the CPU alone
    assert isinstance(rest[-3], Snapshot) and len(rest[-3].faces) > 100


@pytest.mark.gpu
@pytest.mark.parametrize("first, then", [("cuda", "cpu"), ("cpu", "cuda")])
def test_the_next_iteration_is_the_same_on_both(ball, short_config, first, then):
    """From one state, a step on either device gives the same loss."""
    config = short_config(**WITH_A_MESH)
    training = Training(ball, config, first)
    for _ in range(45):
        training.step()
    state = on_device(training.state_dict(), torch.device("cpu"))
    state["generator"] = training.generator.get_state()
    losses = []
    for device in (first, then):
        other = Training(ball, config, device)
        other.load_state_dict(state)
        losses.append(float(other.step().loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)     # of 672 pixels a few may flip


@pytest.mark.gpu
def test_losses_are_the_same_by_either_mesh_rasteriser(ball, short_config):
    pytest.importorskip("nvdiffrast.torch", reason="nvdiffrast is not installed")
    terms = []
    for rasterizer in ("native", "nvdiffrast"):
        training = Training(ball, short_config(**WITH_A_MESH, **{"mesh.rasterizer": rasterizer}), "cuda")
        while training.iteration < 40:
            training.step()
        terms.append(training.step().terms)
    for name in ("mesh_depth", "mesh_normal", "photometric"):
        assert float(terms[0][name]) == pytest.approx(float(terms[1][name]), rel=0.05), name
