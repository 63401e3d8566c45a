# SPDX-License-Identifier: Apache-2.0
"""Resolution, masks, splits and extent of a loaded scene."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from milo.backend.config import DataConfig
from milo.backend.data.cameras import Camera
from milo.backend.data.images import target_size
from milo.backend.data.masks import premultiply
from milo.backend.data.scene import load_scene


@pytest.mark.parametrize("file, resolution, max_width, expected", [
    ((1600, 1067), -1, 0, (1600, 1067)),
    ((3200, 2135), -1, 0, (1600, 1067)),       # truncated, not rounded
    ((1000, 4000), -1, 0, (1000, 4000)),       # only the width counts
    ((801, 601), 2, 0, (400, 300)),            # 400.5 and 300.5 round to even
    ((803, 603), 4, 0, (201, 151)),
    ((800, 533), 320, 0, (320, 213)),
    ((800, 533), -1, 400, (400, 266)),
    ((800, 533), 1, 400, (400, 266)),
    ((300, 200), -1, 400, (300, 200)),         # a cap never enlarges
])
def test_target_size(file, resolution, max_width, expected):
    assert target_size(*file, resolution, max_width) == expected


def test_target_size_refuses_nonsense():
    with pytest.raises(ValueError, match=r"data\.resolution is 0"):
        target_size(100, 100, 0)


def test_a_resized_camera_sees_the_same():
    camera = Camera(torch.eye(4), torch.tensor([[500.0, 0, 310], [0, 510, 250], [0, 0, 1]]), 640, 480, "x")
    half = camera.scaled(0.5)
    point = torch.tensor([0.3, -0.2, 2.0])
    full_pixel, half_pixel = camera.K @ point, half.K @ point
    torch.testing.assert_close(full_pixel[:2] / 2, half_pixel[:2])
    assert half.size == (240, 320) and half.K[0, 2] == 155 and half.name == "x"
    assert camera.K[0, 0] == 500
    odd = camera.resized(213, 161)      # each axis by its own ratio
    torch.testing.assert_close(odd.K[:2, 2], torch.tensor([310 * 213 / 640, 250 * 161 / 480]))


def test_max_width_and_half(make_scene):
    made = make_scene(3, size=(64, 48), params=(80.0, 80.0, 30.0, 25.0))
    view = load_scene(made.binary().root, DataConfig(max_width=40)).train[1]
    assert view.image.shape == (30, 40, 3) and view.camera.size == (30, 40)
    np.testing.assert_allclose(view.camera.K[:2, 2], (30 * 40 / 64, 25 * 30 / 48))
    half = view.half()
    assert half.image.shape == (15, 20, 3) and half.camera.size == (15, 20) and half.uid == view.uid
    assert half.camera.K[0, 2] == pytest.approx(view.camera.K[0, 2] / 2)


def test_the_principal_point_can_be_the_middle(make_scene):
    """Q1: the reference drops it; we keep it unless told to do as the reference."""
    made = make_scene(3, size=(64, 48), params=(80.0, 80.0, 30.0, 25.0)).binary()
    kept, dropped = (load_scene(made.root, DataConfig(max_width=32, center_principal_point=middle)).train[0].camera.K
                     for middle in (False, True))
    assert kept[:2, 2].tolist() == [15, 12.5] and dropped[:2, 2].tolist() == [16, 12]
    assert kept[0, 0] == dropped[0, 0] == 40


def save_masks(made, alpha, folder="masks", suffix=".png"):
    for name in made.names:
        path = made.root / folder / (name.rsplit(".", 1)[0] + suffix)
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(alpha).save(path)


def made_alpha(made):
    alpha = np.zeros((made.size[1], made.size[0]), np.uint8)
    alpha[6:20, 5:25], alpha[6:20, 25] = 255, 100
    return alpha


def test_masked_photos_on_black_are_composited(make_scene):
    made = make_scene(3)
    alpha = made_alpha(made)
    for name in made.names:
        path = made.root / "images" / name
        Image.fromarray(premultiply(np.array(Image.open(path)), alpha)).save(path)
    save_masks(made, alpha)
    stored = np.array(Image.open(made.root / "images" / made.names[0]))
    view = load_scene(made.binary().root).train[0]
    assert np.array_equal(view.image, stored) and np.array_equal(view.mask, alpha)
    black, white = view.target(torch.zeros(3)), view.target(torch.ones(3))
    np.testing.assert_allclose(black.permute(1, 2, 0), stored / 255, atol=1e-6)
    np.testing.assert_allclose(white.permute(1, 2, 0), (stored + 255.0 - alpha[..., None]) / 255, atol=1e-6)
    assert white.shape == (3, 24, 32) and white.dtype == torch.float32


@pytest.mark.parametrize("premultiplied", [True, False])
def test_photos_that_show_their_surroundings_are_cut_out(make_scene, premultiplied):
    made = make_scene(3)
    alpha = made_alpha(made)
    save_masks(made, alpha, suffix=".png.png")
    stored = np.array(Image.open(made.root / "images" / made.names[0]))
    view = load_scene(made.binary().root, DataConfig(premultiplied=premultiplied)).train[0]
    assert np.array_equal(view.image, premultiply(stored, alpha))
    assert (view.target(torch.ones(3))[:, 0, 0] == 1).all()


def test_alpha_of_images_is_straight(make_scene):
    made = make_scene(3)
    alpha = made_alpha(made)
    rng = np.random.default_rng(0)
    for name in made.names:
        rgba = np.dstack([rng.integers(0, 256, (24, 32, 3), np.uint8), alpha])
        Image.fromarray(rgba).save(made.root / "images" / name)
    stored = np.array(Image.open(made.root / "images" / made.names[-1]))
    view = load_scene(made.transforms().root).train[-1]
    target = view.target(torch.tensor([0.2, 0.4, 0.6])).permute(1, 2, 0).numpy()
    weight = alpha[..., None] / 255
    expected = stored[..., :3] / 255 * weight + np.array([0.2, 0.4, 0.6]) * (1 - weight)
    np.testing.assert_allclose(target, expected, atol=0.5 / 255 + 1e-6)


def test_grey_palette_and_deep_photos_become_rgb(make_scene):
    made = make_scene(4)
    grey = np.linspace(0, 255, 24 * 32).astype(np.uint8).reshape(24, 32)
    paths = [made.root / "images" / name for name in made.names]
    Image.fromarray(grey).save(paths[0])
    Image.fromarray(grey).convert("P").save(paths[1])
    Image.fromarray(grey.astype(np.uint16) * 257).save(paths[2])
    Image.fromarray(grey).convert("1").save(paths[3])
    views = load_scene(made.binary().root).train
    for view in views[:3]:
        assert np.array_equal(view.image, np.repeat(grey[..., None], 3, axis=2))
    assert set(np.unique(views[3].image)) == {0, 255}


def test_exif_orientation_is_ignored(make_scene):
    made = make_scene(["a.jpg", "b.jpg"])
    path = made.root / "images" / "a.jpg"
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6      # rotate by 90 degrees
    image.save(path, exif=exif)
    assert load_scene(made.binary().root).train[0].image.shape == (24, 32, 3)


def split_of(made, **config):
    scene = load_scene(made.root, DataConfig(**config))
    return [view.camera.name for view in scene.train], [view.camera.name for view in scene.test]


def test_every_eighth_is_held_out(make_scene):
    made = make_scene(17).binary()
    train, test = split_of(made)
    assert test == [made.names[0], made.names[8], made.names[16]] and len(train) == 14
    assert split_of(made, holdout=False) == (made.names, [])


def test_few_photos_are_all_used(make_scene):
    assert split_of(make_scene(7).binary())[1] == []


@pytest.mark.parametrize("place", ["sparse/0/test.txt", "test.txt"])
def test_listed_views_are_held_out(make_scene, place):
    made = make_scene(9).binary()
    (made.root / place).write_text(f"{made.names[3]}\n\nphoto_05\n")
    train, test = split_of(made)
    assert test == [made.names[3], made.names[5]] and len(train) == 7
    assert split_of(made, holdout=False) == (made.names, [])


def test_transforms_test_views_are_held_out(make_scene):
    made = make_scene(10)
    names, viewmats = made.names, made.viewmats
    made.names, made.viewmats = names[:8], viewmats[:8]
    made.transforms("transforms_train.json")
    made.names, made.viewmats = names[8:], viewmats[8:]
    made.transforms("transforms_test.json")
    assert split_of(made) == (names[:8], names[8:])


def test_extent(make_scene):
    made = make_scene(6)
    centers = np.array([np.linalg.inv(viewmat)[:3, 3] for viewmat in made.viewmats])
    expected = 1.1 * np.linalg.norm(centers - centers.mean(0), axis=1).max()
    assert load_scene(made.binary().root).extent == pytest.approx(expected, rel=1e-5)
