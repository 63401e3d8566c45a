# SPDX-License-Identifier: Apache-2.0
"""The forecast of memory, and what is said when it runs out, with machines of made-up sizes."""

import dataclasses
import re
from types import SimpleNamespace

import pytest
import torch

from milo.backend.config import load_config
from milo.backend.machine import GIB
from milo.backend.training import loop, memory, outlook, photo_stream
from milo.backend.training import reconstruct as module
from milo.backend.training.errors import TrainingError
from milo.backend.training.events import Notice, Progress
from milo.backend.training.reconstruct import reconstruct
from milo.cuda_ext.cuda.runtime import CudaError


@pytest.fixture
def gpu(monkeypatch):
    """gpu(free): the machine has a GPU of 24 GiB with so much free."""
    def make(free_gib):
        there = int(free_gib * GIB), 24 * GIB
        monkeypatch.setattr(memory, "device_memory", lambda device: there)
        monkeypatch.setattr(photo_stream.torch.cuda, "mem_get_info", lambda device: there)

    return make


def photos(count, width, height, points=10_000):
    """A scene as far as its size matters."""
    view = SimpleNamespace(camera=SimpleNamespace(width=width, height=height), mask=None)
    return SimpleNamespace(train=[view] * count, test=[], points=range(points))


@pytest.mark.parametrize(("size", "took"), [((40, 400, 400), 0.63), ((50, 561, 1000), 1.08)])
def test_a_run_of_known_size_needs_about_what_it_took(gpu, size, took):
    """GiB of tensors that suzanne and the fox took on a GPU with the default preset."""
    gpu(100)
    need = (memory.estimate(photos(*size, 5000), load_config(), "cuda").total - outlook.CONTEXT) / GIB
    assert took < need < 2.5 * took


def test_more_of_anything_needs_more(gpu):
    gpu(100)
    def need(views=40, width=800, **settings):
        return memory.estimate(photos(views, width, 600), load_config([], settings), "cuda")

    assert need(views=80).photos == 2 * need().photos > 0
    assert need(width=1600).splats > 1.5 * need().splats and need(width=1600).mesh > 1.5 * need().mesh
    assert need(**{"data.data_device": "cpu"}).photos == 0
    assert need(**{"model.max_gaussians": 20_000}).splats < need().splats
    assert need(**{"mesh.max_points": 90_000}).mesh < need().mesh
    assert need(**{"densify.dense": True}).mesh > 3 * need().mesh


def test_enough_memory_is_said_in_a_sentence(gpu):
    gpu(20)
    words = memory.forecast(photos(40, 800, 600), load_config(), "cuda")
    assert words.startswith("This takes about") and "the GPU has 20.0 GiB free." in words and "may run out" not in words


@pytest.mark.parametrize("settings, knob", [({}, r"mesh\.max_points \(now 5400000\)"),
                                            ({"mesh.max_points": 9000}, r"model\.max_gaussians \(now without limit\)")])
def test_too_little_memory_is_a_warning_that_names_a_setting(gpu, settings, knob):
    gpu(1)
    words = memory.forecast(photos(40, 1600, 1200), load_config([], settings), "cuda")
    assert re.search(rf"may run out\. Lower {knob}, or set data\.data_device=cpu", words), words


def test_photos_that_cannot_fit_are_refused_at_once(gpu, ball, short_config, tmp_path):
    gpu(4)
    many = photos(1000, 1600, 1200)
    with pytest.raises(TrainingError, match=r"photos alone take 6\.7 GiB, but the GPU has 4\.0 GiB free\. Set data\."):
        memory.forecast(many, load_config([], ["data.data_device=cuda"]), "cuda")
    assert memory.estimate(many, load_config(), "cuda").photos == 0      # auto keeps them outside
    gpu(0.00001)
    with pytest.raises(TrainingError, match=r"this machine has 0\.0 GiB free\. Make them smaller with data\.max_width"):
        next(reconstruct(ball, short_config(), tmp_path))


def test_the_forecast_comes_first(ball, short_config, tmp_path):
    first, second = (event for event, _ in zip(reconstruct(ball, short_config(), tmp_path), range(2)))
    assert isinstance(first, Notice) and "GiB" in first.text and isinstance(second, Progress)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."),
                                   MemoryError(), RuntimeError("CUDA cannot launch x: CUDA_ERROR_OUT_OF_MEMORY.")])
def test_running_out_names_the_setting_and_the_run_goes_on_with_it(ball, short_config, tmp_path, monkeypatch, error):
    config = short_config(**{"run.checkpoint_interval": 10, "model.max_gaussians": 400})
    step = loop.Training.step

    def failing(training):
        if training.iteration == 14:
            raise error
        return step(training)

    monkeypatch.setattr(loop.Training, "step", failing)
    words = (r"ran out of memory in the stage 'splats', at iteration 14\. Lower model\.max_gaussians \(now 400\), "
             r"or set data\.max_width.* goes on from iteration 10: ")
    with pytest.raises(TrainingError, match=words) as caught:
        list(reconstruct(ball, config, tmp_path))
    assert caught.value.__cause__ is error
    monkeypatch.setattr(loop.Training, "step", step)
    smaller = dataclasses.replace(config, model=dataclasses.replace(config.model, max_gaussians=200),
                                  data=dataclasses.replace(config.data, data_device="cpu"),
                                  mesh=dataclasses.replace(config.mesh, max_points=900))
    steps = [event for event in reconstruct(ball, smaller, tmp_path) if isinstance(event, Progress)]
    assert steps[1].iteration == 11


def test_what_cuda_lacks_is_said_as_it_is(ball, short_config, tmp_path, monkeypatch):
    def without_compiler(training):
        raise CudaError("NVRTC, the compiler of the CUDA kernels, is missing: install it with pip.")

    monkeypatch.setattr(module.Training, "step", without_compiler)
    with pytest.raises(TrainingError, match=r"^NVRTC, .* is missing: install it with pip\.$"):
        list(reconstruct(ball, short_config(), tmp_path))


def test_other_errors_stay_what_they_are(ball, short_config, tmp_path, monkeypatch):
    def broken(training):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(module.Training, "step", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(reconstruct(ball, short_config(), tmp_path))
