# SPDX-License-Identifier: Apache-2.0
"""Monocular depth from files of every documented kind, and from a (tiny, random) Depth Anything where there is one."""

import sys

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from milo.backend.config import DataConfig
from milo.backend.data.depth_priors import depth_priors, resized
from milo.backend.data.errors import SceneError
from milo.backend.data.monocular import input_size
from milo.backend.data.scene import load_scene

RAMP = np.linspace(0, 60_000, 24 * 32).reshape(24, 32)


@pytest.fixture
def scene(make_scene):
    return load_scene(make_scene(3).binary().root, DataConfig(holdout=False))


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


def read(scene, **config):
    return depth_priors(scene.path, scene.train, DataConfig(**config), "cpu")


def test_every_format_gives_the_same_order(scene):
    names = [view.camera.name for view in scene.train]
    save(scene.path / "depths" / (names[0].rsplit(".", 1)[0] + ".png"), RAMP.astype(np.uint16))
    save(scene.path / "depths" / (names[1].rsplit(".", 1)[0] + ".npy"), RAMP.astype(np.float32)[None])
    save(scene.path / "depths" / (names[2] + ".png"), (RAMP / 60_000 * 255).astype(np.uint8))
    for prior in read(scene):
        assert prior.shape == (24, 32) and prior.dtype == torch.float32
        assert prior[0, 0] == pytest.approx(10) and prior[-1, -1] == pytest.approx(1, rel=1e-3)   # 1 / (0.1 + 0.9 d)
        assert (prior.flatten().diff() <= 0).all()
    middle = read(scene)[1].flatten()[384]
    assert float(middle) == pytest.approx(1 / (0.1 + 0.9 * 384 / 767), rel=1e-4)
    for prior in read(scene, depth_kind="depth"):
        assert prior[0, 0].isnan() and (prior.flatten()[1:].diff() >= 0)[3:].all()   # 0 = unknown, larger = farther


def test_what_is_not_a_number_is_unknown(scene):
    values = RAMP.astype(np.float32)
    values[0, :5] = np.nan
    values[1, :5] = np.inf
    for view in scene.train:
        save(scene.path / "depths" / (view.camera.name + ".npy"), values)
    prior = read(scene)[0]
    assert prior[:2, :5].isnan().all() and int(prior.isnan().sum()) == 10
    assert resized(prior, (12, 16)).shape == (12, 16) and resized(prior, (12, 16)).isnan().any()


def test_large_maps_shrink_to_the_photo(scene):
    for view in scene.train:
        save(scene.path / "depths" / (view.camera.name + ".npy"), np.kron(RAMP, np.ones((4, 4))))
    assert read(scene)[0].shape == (24, 32)


@pytest.mark.parametrize(("name", "values", "says"), [
    ("photo_00.npy", np.zeros((24, 24)), "24 x 24 but its photo 32 x 24"),
    ("photo_00.npy", np.zeros((2, 24, 32)), "not rows and columns"),
    ("photo_00.npy", np.array(["far"] * 3), "array of numbers"),
    ("photo_00.png", np.zeros((24, 32, 3), np.uint8), "one grey channel"),
    ("photo_09.npy", RAMP, "1 of 3 photos have no depth"),
])
def test_wrong_files_are_named(scene, name, values, says):
    for view in scene.train[1:]:
        save(scene.path / "depths" / (view.camera.name + ".npy"), RAMP)
    stem = scene.train[0].camera.name.rsplit(".", 1)[0]
    save(scene.path / "depths" / name.replace("photo_00", stem), values)
    with pytest.raises(SceneError, match=says):
        read(scene)


def test_a_trap_in_a_npy_is_not_sprung(scene):
    path = scene.path / "depths" / (scene.train[0].camera.name + ".npy")
    path.parent.mkdir()
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for view in scene.train[1:]:
        save(scene.path / "depths" / (view.camera.name + ".npy"), RAMP)
    with pytest.raises(SceneError, match=r"not a readable \.npy"):
        read(scene)


def test_without_files_and_model_one_is_told_what_to_do(scene):
    with pytest.raises(SceneError, match=r"16-bit PNG or \.npy.*data\.depth_model"):
        read(scene)


def test_without_transformers_one_is_told_what_to_install(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SceneError, match=r"pip install 'milo-blender\[depth\]'"):
        read(scene, depth_model="depth-anything/Depth-Anything-V2-Small-hf")


def test_without_weights_one_is_told_where_they_come_from(scene, tmp_path):
    with pytest.raises(SceneError, match="hf download"):
        read(scene, depth_model="depth-anything/Depth-Anything-V2-Small-hf")
    with pytest.raises(SceneError, match="weights of this depth model are not on this machine"):
        read(scene, depth_model=str(tmp_path))


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_a_model_on_disk_is_asked(scene, tmp_path, kind):
    """A Depth Anything of a few thousand random weights, saved and loaded as the real ones are."""
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(hidden_size=8, num_hidden_layers=4, num_attention_heads=1, image_size=28,
                                         patch_size=14, out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
                                         apply_layernorm=True)
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=8, neck_hidden_sizes=[4, 4, 4, 4], fusion_hidden_size=4,
        head_hidden_size=4, depth_estimation_type=kind, max_depth=5 if kind == "metric" else 1)
    network = transformers.DepthAnythingForDepthEstimation(config)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    network.save_pretrained(tmp_path / "model")
    priors = read(scene, depth_model=str(tmp_path / "model"))
    assert len(priors) == 3 and all(tuple(prior.shape) == input_size(24, 32) for prior in priors)
    assert not torch.equal(priors[0], priors[1])
    known = priors[0][~priors[0].isnan()]
    assert (known.max() <= 5) if kind == "metric" else (known.min() >= 0.99 and known.max() <= 10.01)


def test_the_network_sees_whole_patches():
    assert input_size(24, 32) == (518, 686) and input_size(1600, 1060) == (784, 518)
