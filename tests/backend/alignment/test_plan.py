# SPDX-License-Identifier: Apache-2.0
"""Options, pairs, and photos made ready for COLMAP."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from milo.backend.alignment.options import EXHAUSTIVE_UP_TO, AlignError, AlignOptions
from milo.backend.alignment.pairs import choose_pairs, in_steps
from milo.backend.alignment.prepare import distinct, prepare
from milo.backend.alignment.work_folder import WorkFolder
from milo.backend.data.photo_files import find_photos


def test_few_photos_are_matched_exhaustively_and_many_are_not():
    few = choose_pairs(30, AlignOptions())
    assert len(few) == len(set(few)) == 30 * 29 // 2
    many = choose_pairs(EXHAUSTIVE_UP_TO + 180, AlignOptions())
    assert len(many) == len(set(many)) < 0.15 * 300 * 299 / 2
    assert all(a < b for a, b in many)
    assert all((a, a + 1) in set(many) for a in range(299))
    assert (0, 299) in many                                     # a loop can close
    assert len(choose_pairs(300, AlignOptions(matching="exhaustive"))) == 300 * 299 // 2


def test_steps_hold_all_pairs_and_few_photos():
    for count, options in ((7, AlignOptions()), (100, AlignOptions()), (500, AlignOptions())):
        pairs = choose_pairs(count, options)
        steps = in_steps(pairs)
        assert sorted(pair for step in steps for pair in step) == pairs
        assert all(len(step) <= 256 for step in steps)
    steps = in_steps(choose_pairs(100, AlignOptions()))
    assert sum(len({photo for pair in step for photo in pair}) for step in steps) < 1000


def test_settings_are_checked():
    assert AlignOptions.from_settings({"align.features": 1000}).features == 1000
    for settings, word in (({"align.feature": 3}, "align.features"), ({"mesh.every": 3}, "mesh.every"),
                           ({"align.features": "many"}, "int"), ({"align.features": 3}, "256"),
                           ({"align.matching": "guess"}, "exhaustive"), ({"align.camera_model": "X"}, "OPENCV")):
        with pytest.raises(AlignError, match=word):
            AlignOptions.from_settings(settings)


@pytest.fixture
def camera_folder(tmp_path):
    """Photos as a phone and an editor leave them: turned by EXIF, with alpha, as WebP, in a folder with a space."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6                                              # orientation: turn right by 90 degrees
    exif[0x0110] = "Phone"
    exif.get_ifd(0x8769)[0xA405] = 26                             # 35 mm equivalent
    Image.fromarray(pixels).save(folder / "a 1.jpg", exif=exif)
    Image.fromarray(np.dstack([pixels, np.where(np.arange(40) < 20, 255, 0)[None].repeat(30, 0).astype(np.uint8)])
                    ).save(folder / "b.png")
    Image.fromarray(pixels).save(folder / "c.webp")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_photos_are_made_upright_and_readable(camera_folder, tmp_path):
    photos = find_photos(camera_folder)
    assert [photo.name for photo in photos] == ["a 1.jpg", "b.png", "c.webp"]
    folder = WorkFolder(tmp_path / "work")
    folder.path.mkdir()
    names = prepare(photos, folder, AlignOptions(), None, lambda: False)
    assert names == ["a_1.jpg", "b.png", "c.webp.jpg"]
    assert not folder.read_plan()["one_camera"]
    first = Image.open(folder.images / "a_1.jpg")
    assert first.size == (30, 40) and first.getexif()[0x0112] == 1
    assert first.getexif().get_ifd(0x8769)[0xA405] == 26           # COLMAP takes the focal length from here
    assert Image.open(folder.images / "b.png").mode == "RGB"
    mask = np.asarray(Image.open(folder.masks / "b.png.png"))
    assert mask[:, :20].min() == 255 and mask[:, 20:].max() == 0
    features = np.asarray(Image.open(folder.feature_masks / "b.png.png"))
    assert features[:, :20].min() == 255 and features[:, 21].max() == 255 and features[:, 30:].max() == 0


def test_names_that_would_collide_are_told_apart():
    names = ["a_b.jpg", "a_b.jpg", "A_B.jpg", "c/a_b.jpg"]
    assert distinct(names) == ["a_b.jpg", "a_b_2.jpg", "A_B_3.jpg", "c/a_b.jpg"]


def test_the_same_photos_are_not_prepared_again(camera_folder, tmp_path):
    folder = WorkFolder(tmp_path / "work")
    folder.path.mkdir()
    prepare(find_photos(camera_folder), folder, AlignOptions(), None, lambda: False)
    folder.database.write_bytes(b"features")
    prepare(find_photos(camera_folder), folder, AlignOptions(), None, lambda: False)
    assert folder.database.exists()
    prepare(find_photos(camera_folder), folder, AlignOptions(features=2000), None, lambda: False)
    assert not folder.database.exists()
