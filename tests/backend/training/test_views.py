# SPDX-License-Identifier: Apache-2.0
"""Epochs of views, and the switch from half to full resolution (spec training.md 1.8)."""

import pytest
import torch

from milo.backend.training.views import ViewStack


def test_an_epoch_shows_each_view_once(ball):
    stack = ViewStack(ball.train, True, torch.Generator().manual_seed(0))
    epochs = [[stack.draw(False).uid for _ in range(6)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(("flush", "halves_left"), [(True, 0), (False, 2)])
def test_the_switch_of_resolution(ball, flush, halves_left):
    """Q5: the reference uses the half-size views of the running epoch up; by default we do not."""
    stack = ViewStack(ball.train, flush, torch.Generator().manual_seed(0))
    for _ in range(4):
        assert stack.draw(True).camera.size == (12, 14)
    sizes = [stack.draw(False).camera.size for _ in range(6)]
    assert sizes == [(12, 14)] * halves_left + [(24, 28)] * (6 - halves_left)
