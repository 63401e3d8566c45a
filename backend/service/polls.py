# SPDX-License-Identifier: Apache-2.0
"""Questions that wait for news: job.watch and mesh.next. Each is answered once, by news or by the end of its time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from milo.protocol.messages import NextMesh, WatchJob

from .peer import Peer

MOST = 2_000     # waiting questions of all clients together


@dataclass
class Poll:
    peer: Peer
    question: WatchJob | NextMesh
    deadline: float

    @property
    def key(self) -> tuple:
        """A client has one question of a kind for a job: a newer one takes the place of the older."""
        return self.peer.client, type(self.question), self.question.job


class Polls:
    def __init__(self):
        self._polls: dict[tuple, Poll] = {}

    def park(self, peer: Peer, question: WatchJob | NextMesh) -> list[Poll]:
        """Keep a question; the ones that must be answered with Nothing because of it."""
        poll = Poll(peer, question, time.monotonic() + question.wait_s)
        replaced = self._polls.pop(poll.key, None)
        self._polls[poll.key] = poll
        given_up = [replaced] if replaced else []
        if len(self._polls) > MOST:
            given_up.append(self._polls.pop(next(iter(self._polls))))
        return given_up

    def about(self, job: str) -> list[Poll]:
        return [poll for poll in self._polls.values() if poll.question.job == job]

    def take(self, poll: Poll) -> bool:
        """Remove a question in order to answer it; False if that has happened already."""
        if self._polls.get(poll.key) is not poll:
            return False
        del self._polls[poll.key]
        return True

    def expired(self) -> list[Poll]:
        now = time.monotonic()
        return [poll for poll in self._polls.values() if poll.deadline <= now]

    def next_deadline(self) -> float:
        """Seconds of time.monotonic(); infinite if nobody waits."""
        return min((poll.deadline for poll in self._polls.values()), default=float("inf"))
