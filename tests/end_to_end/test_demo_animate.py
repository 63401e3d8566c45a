# SPDX-License-Identifier: Apache-2.0
"""From a small reconstruction to an animation: finished, rigged, animated, and rendered in both ways."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 8


@pytest.fixture(scope="module")
def animated(tmp_path_factory, demo, bpy_python, programs) -> Path:
    out = tmp_path_factory.mktemp("animate") / "out"
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo_animate.py", "--bpy", bpy_python, "--backend", programs["backend"],
         "--zip", programs["zip"], "--demo", demo, "--out", out, f"--frames={FRAMES}", "--width=160", "--height=120",
         "--samples=2", "--triangles=6000", "--texture=512"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert run.returncode == 0, run.stdout
    return out


def test_every_frame_is_there_twice(animated):
    for kind in ("splats", "mesh"):
        pictures = [np.asarray(Image.open(path)) for path in sorted((animated / kind).glob("frame_*.png"))]
        assert len(pictures) == FRAMES
        for picture in pictures:
            assert 0.1 < (picture[..., 3] > 127).mean() < 0.9 and picture[..., :3].std() > 10
        for one, other in itertools.pairwise(pictures):       # it moves
            assert np.abs(one[..., 3].astype(int) - other[..., 3]).mean() > 1


def test_splats_and_textured_mesh_go_together(animated):
    report = json.loads((animated / "report.json").read_text())
    assert min(report["covered"]) > 0.85 and report["triangles"] <= 6000


def test_a_video_and_a_sheet(animated):
    assert (animated / "video.mp4").read_bytes()[4:8] == b"ftyp"
    sheet = Image.open(animated / "contact_sheet.png")
    assert sheet.width > 400 and np.asarray(sheet).std() > 10
