# SPDX-License-Identifier: Apache-2.0
"""Extraction of a run's mesh once more, from splats that lie on the surface."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from milo.backend.cli import main
from milo.backend.config import ConfigError, load_config
from milo.backend.data.colmap import read_points
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import SplatColumns, read_mesh, write_splats
from milo.backend.evaluation.score import score_mesh

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder of the sample scene: small round splats at its initial points, no learned occupancy."""
    points, colors = read_points(SUZANNE / "sparse/0/points3D.bin")
    count = len(points)
    path = tmp_path / "run"
    path.mkdir()
    write_splats(path / "splats.ply", SplatColumns(
        means=points.astype(np.float32), sh_dc=((colors / 255 - 0.5) / 0.28209479).astype(np.float32),
        sh_rest=np.zeros((count, 0, 3), np.float32), opacities=np.full(count, 4, np.float32),
        scales=np.full((count, 3), np.log(0.025), np.float32),
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)), filter_3d=np.zeros(count, np.float32)))
    config = load_config(["preview"], ["data.max_width=100", "extract.refine_iters=50"])
    (path / "config.json").write_text(json.dumps(config.to_dict()))
    (path / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(SUZANNE)}))
    return path


def test_extract_again_with_other_settings(run, tmp_path):
    from milo.backend.extraction.extract import extract

    steps = []
    before = (run / "config.json").read_bytes()
    path = extract(run, tmp_path / "again.ply", ["extract.refine_iters=3"], on_step=steps.append)
    assert path == tmp_path / "again.ply" and not (run / "mesh.ply").exists()
    assert [(step.iteration, step.iterations) for step in steps if step.stage == "refine"] == [(1, 3), (2, 3), (3, 3)]
    assert (run / "config.json").read_bytes() == before
    verts, faces, colors = read_mesh(path)
    assert len(faces) > 1000 and colors is not None and colors.std() > 10
    assert np.unique(faces).size == len(verts)      # no vertex is left over
    score = score_mesh(path, SUZANNE, 4000)
    assert score["tau 0.01"]["fscore"] > 0.8        # splats of radius 0.025 on a diagonal of 5.2


def test_extract_on_the_command_line(run, capfd):
    with pytest.raises(SystemExit) as caught:
        main(["extract", str(run), "--set", "extract.refine_iters=0"])
    assert not caught.value.code and f"Mesh: {run / 'mesh.ply'}" in capfd.readouterr().out.replace("\n", "")
    assert len(read_mesh(run / "mesh.ply")[1]) > 1000


def test_what_cannot_be_extracted(run):
    from milo.backend.extraction.extract import extract

    with pytest.raises(ConfigError, match=r"extract\.refine_steps"):
        extract(run, overrides=["extract.refine_steps=3"])
    (run / "splats.ply").unlink()
    with pytest.raises(SceneError, match=r"no splats\.ply"):
        extract(run)
