# SPDX-License-Identifier: Apache-2.0
"""Training with the mesh in the loop, from photos of a ball to its mesh."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from milo.backend.training import checkpoint
from milo.backend.training.events import Finished, Progress, Snapshot
from milo.backend.training.loop import Training
from milo.backend.training.reconstruct import reconstruct
from milo.backend.training.schedule import timeline

from .conftest import RADIUS

MESH = {"model.sh_storage_start": 1, "schedule.depth_normal_from": 1, "schedule.half_resolution_until": 0,
        "densify.until_iter": 0, "densify.simplify1_iter": 0, "densify.simplify2_iter": 12, "mesh.start_iter": 13,
        "mesh.stop_iter": 36, "mesh.delaunay_interval": 7, "mesh.sdf_interval": 7, "mesh.sdf_stop_iter": 25,
        "mesh.labels_interval": 5, "mesh.trunc": 0.01, "schedule.iterations": 40,
        "optim": {"sh_dc_lr": 0.02, "opacity_lr": 0.2, "scale_lr": 0.04, "occupancy_lr": 0.2}}


@pytest.mark.parametrize(("limit", "lag"), [(0, 0), (9 * 100, 0), (9 * 100, 5)])
def test_resume_with_a_mesh_is_the_same_to_the_bit(ball, short_config, tmp_path, limit, lag):
    """Also between the snapshot for a triangulation (iteration 14) and its use (19)."""
    config = short_config(**MESH, **{"mesh.max_points": limit, "mesh.delaunay_lag": lag})
    log = []
    straight = Training(ball, config, on_event=lambda k, name: log.append((k, name)))
    steps = [straight.step() for _ in range(40)]
    assert log == list(timeline(config))
    assert all(step.vertices > 20 for step in steps[12:]) and not any(step.vertices for step in steps[:12])

    begun = Training(ball, config)
    for _ in range(17):
        begun.step()
    checkpoint.save_checkpoint(tmp_path, {"iteration": 17, "training": begun.state_dict()})
    resumed = Training(ball, config)
    resumed.load_state_dict(checkpoint.load_newest(tmp_path)["training"])
    assert [float(resumed.step().loss) for _ in range(23)] == [float(step.loss) for step in steps[17:]]


def test_a_change_of_the_set_starts_the_mesh_anew(ball, short_config):
    """Q15: pivots, triangulation and labels never refer to Gaussians that have gone."""
    training = Training(ball, short_config(**MESH | {"densify.simplify2_iter": 20}))
    vertices = [training.step().vertices for _ in range(24)]
    assert all(vertices[12:])
    assert len(training.mesh.labels) == 9 * len(training.gaussians)


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_photos_become_a_mesh(ball, short_config, tmp_path, device, rasterizer):
    config = short_config(**MESH, **{"run.provisional_at": [12], "run.snapshot_interval": 10,
                                     "extract.refine_iters": 5, "model.rasterizer": rasterizer,
                                     # 40 iterations leave Gaussians through which views look
                                     "extract.init": "learned", "extract.air_opacity": 0.0})
    events = list(reconstruct(ball, config, tmp_path, device=device))
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    assert [(event.kind, event.iteration) for event in snapshots] == [
        ("provisional", 12), ("live", 20), ("live", 30), ("live", 40), ("final", 40)]
    assert {event.stage for event in events if isinstance(event, Progress)} == {
        "loading", "splats", "mesh", "refine", "colours", "saving"}
    assert isinstance(events[-1], Finished) and set(events[-1].seconds) >= {"splats", "mesh", "refine", "saving"}
    for snapshot in snapshots:
        assert snapshot.verts.dtype == np.float32 and snapshot.faces.dtype == np.int32
        assert snapshot.colors.shape == snapshot.verts.shape and snapshot.preview.shape == (24, 28, 3)
        assert snapshot.faces.max() < len(snapshot.verts)
    distance, _ = cKDTree(snapshots[-1].verts).query(ball.points)   # all of the ball is there, whatever hides inside
    assert np.quantile(distance, 0.9) < 0.2 * RADIUS


def test_the_bar_of_the_extraction_fills_once(ball, short_config, tmp_path):
    """Fields take many steps before the refinement, and the time left counts all of both."""
    config = short_config(**MESH, **{"extract.refine_iters": 5, "extract.binary_steps": 2})
    events = [event for event in reconstruct(ball, config, tmp_path) if isinstance(event, Progress)]
    events = [event for event in events if event.stage in ("refine", "colours")]
    steps = 4 * len(ball.train) + 5                                 # a field, two bisections and the air
    assert [(event.iteration, event.iterations) for event in events] == [(k + 1, steps) for k in range(steps)]
    assert {event.stage for event in events[:-1]} == {"refine"} and events[-1].stage == "colours"
    assert events[-1].eta_s == 0 < min(event.eta_s for event in events[:-1])
