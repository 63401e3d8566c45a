# SPDX-License-Identifier: Apache-2.0
"""What a job would take on this machine, and what finished ones have taught about its speed.

speeds.json   {"format": 1, "speeds": {"cpu": [...], "cuda": [...]}}: how many times the time expected each of the
              newest runs took
"""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

from milo.protocol import ProtocolError
from milo.protocol.outlook import Estimate, EstimateJob

from .files import write_json

FORMAT = 1
KEPT = 5                       # runs that count
RESIDENT_SHARE = 0.25          # of a GPU's memory that photos may take before they stay outside


def estimate(home: Path, question: EstimateJob, kind: str, available: int | None) -> Estimate:
    """What a job would take on a device of a kind ("cpu" or "cuda") with so many bytes of memory.

    Raises:
        ProtocolError: bad_request for presets or settings that do not exist.
    """
    from milo.backend.config import load_config
    from milo.backend.data.images import target_size
    from milo.backend.machine import cores
    from milo.backend.training import outlook

    settings = {key: value for key, value in question.settings.items() if not key.startswith("service.")}
    try:
        config = load_config(question.preset, settings)
        width, height = target_size(question.width, question.height, config.data.resolution, config.data.max_width)
    except ValueError as error:
        raise ProtocolError("bad_request", str(error)[:2000]) from error
    pixels = width * height
    photo_bytes = question.photos * pixels * 15 // 4          # with their halves in size
    if kind == "cuda" and (config.data.data_device == "cpu" or photo_bytes > RESIDENT_SHARE * (available or 0)):
        photo_bytes = 0
    need = outlook.memory(photo_bytes, pixels, question.points, config, kind == "cuda")
    learnt = speeds(home).get(kind, ())
    factor = math.exp(sum(map(math.log, learnt)) / len(learnt)) if learnt else 1.0
    seconds = outlook.START_S + factor * outlook.seconds(pixels, question.points, config, kind, cores())
    return Estimate(seconds, need.total, available, width, height, bool(learnt))


def learn(home: Path, kind: str, took_s: float, expected_s: float) -> None:
    """Take a finished run into account."""
    known = speeds(home)
    factor = min(100.0, max(0.01, took_s / expected_s))
    known[kind] = [*known.get(kind, ()), factor][-KEPT:]
    write_json(home / "speeds.json", {"format": FORMAT, "speeds": known})


def speeds(home: Path) -> dict[str, list[float]]:
    """{kind of device: factors of the newest runs, oldest first}; a file that is damaged counts as none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads((home / "speeds.json").read_text("utf-8"))
        if content["format"] == FORMAT:
            return {kind: [float(f) for f in factors if f > 0] for kind, factors in content["speeds"].items()}
    return {}
