# SPDX-License-Identifier: Apache-2.0
"""The add-on in a real window, under Xvfb, with real clicks: timers fire, the mesh refreshes by itself.

bench/blender/stage.py says what it needs. Pictures go to build/window: look at them.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.blender import stage as window

HERE = Path(__file__).resolve().parent
INSIDE = HERE / "inside"
ROOT = HERE.parents[1]
PICTURES = ROOT / "build" / "window"
SAMPLE = ROOT / "examples" / "suzanne"

pytestmark = pytest.mark.window


@pytest.fixture
def stage(addon_zip):
    """stage(backend command) -> Stage, with everything that a window needs."""
    with window.screen() as display, window.room() as room:
        stages = []

        def ready(*backend: str) -> window.Stage:
            stages.append(window.Stage(display, room, addon_zip, PICTURES, list(backend) or None))
            shutil.copy(INSIDE / "my_work.py", room)
            return stages[-1]

        yield ready
        for each in stages:
            each.close()


def has_pictures(*names: str) -> bool:
    return all((PICTURES / f"{name}.png").stat().st_size > 20_000 for name in names)


def photos_of_the_sample(folder: Path, count: int) -> None:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((SAMPLE / kind).glob("train_*"))[:count]:
            shutil.copy(path, folder / kind)


def test_from_photos_to_a_mesh_that_keeps_the_artists_work(stage):
    """Install, open the tab, start the backend, align, reconstruct, work, freeze, save, quit, reopen, follow again."""
    play = stage()
    photos_of_the_sample(play.room / "photos", 16)
    seen = play.play(INSIDE / "drive_journey.py", limit_s=900)
    print(seen)
    assert seen["checked"] in ("good", "usable", "poor") and seen["cameras"] >= 15
    assert seen["survived"]["materials"] == ["mine"] and seen["survived"]["modifiers"] == ["Subdivision"]
    assert seen["survived"]["wrong_weights"] < 0.02 and seen["frozen"] and seen["state"] == "running"
    assert seen["between_cpu_ms"] < 20 and seen["draw_cpu_ms"] < 20
    again = play.play(INSIDE / "drive_reopened.py", limit_s=400)
    print(again)
    assert again["attached"] == "running" and again["job"] == seen["job"] and again["stayed"]
    assert again["before"]["wrong_weights"] < 0.02
    assert again["after"]["materials"] == ["mine"] and again["after"]["modifiers"] == ["Subdivision"]
    assert again["after"]["wrong_weights"] < 0.02
    assert again["after"]["mean_height"] != again["before"]["mean_height"]   # a mesh of another iteration
    assert has_pictures("journey-1-tab", "journey-4-aligned", "journey-6-my-work-survives", "journey-9-followed-again")


def test_every_panel_is_drawn(stage):
    play = stage(sys.executable, str(HERE / "fake_backend.py"), "serve")
    scene_of_nothing(play.room / "photos")
    seen = play.play(INSIDE / "drive_panels.py", FAKE_STEP_S="1.0")
    assert seen == {"jobs": 2, "overrides": "region.margin=0.5"}, play.said
    assert has_pictures("all-panels")


def test_sources_in_a_narrow_sidebar(stage):
    """At half its width the panel is of use (look at the pictures); moving cameras, region and translation in it."""
    play = stage(sys.executable, str(HERE / "fake_backend.py"), "serve")
    (play.room / "sequence").mkdir()
    for i in range(1, 7):
        fine = np.indices((360, 640)).sum(0) // 4 % 2 * (120 if i in (2, 5) else 20) + 20 * i
        Image.fromarray(np.stack([fine] * 3, -1).astype(np.uint8)).save(play.room / "sequence" / f"shot_{i:04d}.png")
    seen = play.play(INSIDE / "drive_sources.py")
    assert seen["narrow"] < 0.6 * seen["wide"], seen
    assert seen["taken"] == ["Camera 0002", "Camera 0005"] and seen["scenes"] == 1, seen
    assert seen["says"] == "Kameras mit Foto: 2"
    assert has_pictures("sources-1-narrow-cropped", "sources-2-not-cropped", "sources-3-taken-german")


def test_installing_estimating_watching(stage):
    play = stage(sys.executable, str(HERE / "fake_backend.py"), "serve")
    scene_of_nothing(play.room / "photos")
    seen = play.play(INSIDE / "drive_flow.py", FAKE_STEP_S="1.0")
    assert "pip install" in seen["copied"] and seen["estimated"] == [6, 640], play.said
    assert seen["editor"] == [160, 60] and seen["trouble"] is None, play.said
    assert has_pictures(*(f"flow-{name}" for name in ("1-no-backend", "2-estimate", "3-preview",
                                                      "4-preview-at-the-end", "5-image-editor", "6-pairing")))


def test_the_manual_opens_and_trouble_is_shown(stage):
    play = stage(sys.executable, str(HERE / "fake_backend.py"), "serve")
    seen = play.play(INSIDE / "drive_trouble.py")
    assert seen["manual"] and "no folder" in seen["trouble"], play.said
    assert has_pictures("trouble")


def test_splats_are_drawn_among_other_objects(stage):
    """A blue ball of splats before a yellow cube, in all shadings, posed, and in F12; the service draws for real."""
    play = stage("env", f"PYTHONPATH={HERE}", sys.executable, "-m", "milo.backend.service", "--runner",
                 "splat_runner:run")
    scene_of_nothing(play.room / "photos")
    result = play.play(INSIDE / "drive_splats.py")
    print(result)
    blue, yellow = {}, {}
    for path in PICTURES.glob("splats-*.png"):
        r, g, b = np.array(Image.open(path).convert("RGB")).astype(int).transpose(2, 0, 1)[:, 130:700, 60:930]
        blue[path.stem], yellow[path.stem] = (b > 150) & (r < 130) & (b > g + 60), (r > b + 60) & (g > b + 40)
    for name in ("splats-1-solid", "splats-3-orthographic", "splats-4-rendered"):
        assert blue[name].sum() > 20_000, name
    assert not blue["splats-0-mesh"].any()
    cube = yellow["splats-2-posed"].sum()
    assert 150 < yellow["splats-1-solid"].sum() < 0.2 * cube     # a corner looks out beside the ball, then more
    assert yellow["splats-4-rendered"].sum() < 0.1 * cube        # the engine MILo draws splats alone
    for name in ("splats-5-material", "splats-6-eevee", "splats-7-cycles"):
        assert blue[name].sum() > 0.995 * blue["splats-1-solid"].sum(), name     # the mesh is nowhere before its splats
        assert 100 < yellow[name].sum() < 0.2 * cube, name
    assert blue["splats-8-large"].sum() >= blue["splats-6-eevee"].sum()
    left = [np.nonzero(blue[name])[1].mean() for name in ("splats-1-solid", "splats-2-posed")]
    assert left[1] < left[0] - 50                                # they went along with the mesh
    assert result["pictures_at_rest"] == 0 and result["problems"] == [""] and "not running" in result["said"]
    assert (result["bounds"], result["displayed"]) == ("BOUNDS", "TEXTURED")
    assert result["longest_tick_ms"] < 100, result               # the bar is 20; other work on the machine counts too


def scene_of_nothing(folder: Path) -> None:
    """A scene folder, of which the stand-in for a backend looks at nothing but the hashes."""
    for path in ("images/0.png", "sparse/0/cameras.bin"):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(b"not looked at")
