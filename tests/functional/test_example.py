# SPDX-License-Identifier: Apache-2.0
"""The example of milo.functional, run on the sample scene."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from milo.backend.config import DataConfig
from milo.backend.data.ply import write_mesh
from milo.backend.data.scene import load_scene
from milo.backend.evaluation.score import score_mesh

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_a_plain_trainer_gets_a_mesh(tmp_path):
    spec = importlib.util.spec_from_file_location("functional_training", EXAMPLES / "functional_training.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    scene = load_scene(EXAMPLES / "suzanne", DataConfig(max_width=80))
    _, mesh, history = example.train(scene, iterations=75, mesh_from=61, rebuild_every=10, log=lambda line: None)
    assert set(history[0]) == {"photo"} and set(history[-1]) == {"photo", "depth", "normal", "centers", "labels"}
    assert np.mean([terms["photo"] for terms in history[-10:]]) < 0.6 * history[0]["photo"]
    assert mesh.verts.shape == mesh.colors.shape and mesh.colors.std() > 0.05
    write_mesh(tmp_path / "mesh.ply", mesh.verts.numpy(), mesh.faces.numpy())
    score = score_mesh(tmp_path / "mesh.ply", EXAMPLES / "suzanne", 4000)
    assert score["tau 0.01"]["fscore"] > 0.6
