# SPDX-License-Identifier: Apache-2.0
"""Where photos live: on the CPU they stay as they are; beside a GPU they come in time, and nothing waits."""

import dataclasses

import pytest
import torch

from milo.backend.training import photo_stream
from milo.backend.training.photo_stream import PhotoStream, photo_device, picture_bytes
from milo.backend.training.views import ViewStack

CUDA = torch.device("cuda", 0)


def test_the_bytes_of_photos(ball):
    views = ball.train
    assert picture_bytes(views) == 6 * 28 * 24 * 3 * 5 // 4
    masked = [dataclasses.replace(view, mask=view.image[..., 0]) for view in views]
    assert picture_bytes(masked) == 6 * 28 * 24 * 4 * 5 // 4


def test_photos_stay_outside_a_gpu_they_would_fill(ball, monkeypatch):
    def place(setting, free):
        monkeypatch.setattr(photo_stream.torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
        return photo_device(setting, ball.train, CUDA)

    size = picture_bytes(ball.train)
    assert place("auto", 5 * size) == CUDA and place("auto", 3 * size) == torch.device("cpu")
    assert place("cpu", 5 * size) == torch.device("cpu") and place("cuda", 3 * size) == CUDA
    assert photo_device("cuda", ball.train, torch.device("cpu")) == torch.device("cpu")


def test_on_the_cpu_views_are_handed_out_as_they_are(ball):
    stream = PhotoStream(torch.device("cpu"))
    assert stream.take(ball.train[0], ball.train[1]) is ball.train[0]


@pytest.mark.gpu
def test_streamed_photos_are_those_asked_for_and_nothing_waits(ball):
    """Epochs at both resolutions, while the GPU is kept so busy that every copy is under way when it is used."""
    scene = dataclasses.replace(ball, train=[dataclasses.replace(view, mask=view.image[..., 0]) for view in ball.train])
    streamed = scene.to("cuda", "cpu")
    assert all(view.image.is_pinned() and view.mask.is_pinned() and view.camera.K.is_cuda for view in streamed.train)
    stacks = [ViewStack(one.train, True, torch.Generator().manual_seed(3), "cuda")
              for one in (streamed, scene.to("cuda"))]
    background = torch.zeros(3, device="cuda")
    for stack in stacks:
        assert len(stack.half) == 6
    assert stacks[0].half[0].image.is_pinned()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        pairs = []
        for k in range(24):
            torch.cuda._sleep(1_000_000)
            pairs.append([stack.draw(half=k < 12).target(background).sum() for stack in stacks])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in pairs) and float(pairs[0][0]) > 0


@pytest.mark.gpu
def test_a_run_is_the_same_wherever_its_photos_are(ball, short_config):
    from milo.backend.training.loop import Training

    images = []
    for place in ("cuda", "cpu"):
        training = Training(ball, short_config(**{"data.data_device": place}), "cuda")
        assert training.scene.train[0].image.is_cuda == (place == "cuda")
        for _ in range(12):
            training.step()
        images.append(training.gaussians.sh_dc.detach())
    assert len(images[0]) == len(images[1])
    torch.testing.assert_close(*images, rtol=1e-2, atol=1e-3)
