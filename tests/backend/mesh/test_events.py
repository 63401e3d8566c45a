# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from milo.backend.config import MeshConfig
from milo.backend.mesh.events import mesh_due, mesh_events


def happened(config, iterations):
    due = [k for k in range(1, iterations + 1) if mesh_due(config, k)]
    events = {k: mesh_events(config, k) for k in due}
    return [[k for k in due if getattr(events[k], name)] for name in ("delaunay", "sdf", "labels")]


def test_the_default_run_has_the_events_of_the_spec():
    """Section 6: 20 triangulations, 11 fusions, 51 label passes."""
    delaunay, sdf, labels = happened(MeshConfig(), 18_000)
    assert delaunay == [8001, *range(8500, 18_000, 500)]
    assert sdf == [8001, *range(8500, 13_001, 500)]
    assert labels == [8001, *range(8200, 18_001, 200)]


def test_an_event_between_two_evaluations_happens_at_the_later_one():
    config = replace(MeshConfig(), start_iter=751, stop_iter=1500, every=2, delaunay_interval=75, sdf_interval=75,
                     sdf_stop_iter=1100, labels_interval=60)
    delaunay, sdf, labels = happened(config, 1500)
    assert delaunay == [751, 825, 901, 975, 1051, 1125, 1201, 1275, 1351, 1425]
    assert sdf == [751, 825, 901, 975, 1051]
    assert len(labels) == 13


def test_without_averaging_the_field_is_fused_once():
    _, sdf, _ = happened(replace(MeshConfig(), reset_mode="none"), 18_000)
    assert sdf == [8001]
