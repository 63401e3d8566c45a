# SPDX-License-Identifier: Apache-2.0
"""What is air: nothing that no photo shows becomes surface, and nothing that photos look through."""

import torch

from milo.backend.config import with_overrides
from milo.backend.extraction.air import SeenField, air, in_some_photo
from milo.backend.extraction.finish import finished
from milo.backend.extraction.methods import mesh_of
from milo.backend.mesh.pivots import from_pivot_order, gaussian_pivots


class Inside:
    """A field that is inside everywhere."""

    def at(self, points, stage):
        yield stage
        return torch.full(points.shape[:1], -0.5)


def finish(generator):
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def extracted(ball, logits, *settings):
    config = with_overrides(ball.config, ["extract.init=learned", "extract.refine_iters=0", *settings])
    return list(mesh_of(ball.splats, logits, ball.views, config, ball.scale, torch.Generator().manual_seed(0)))[-1]


def test_vertices_in_no_photo(ball):
    inside, behind = torch.zeros(1, 3), 40 * ball.views[0].camera.center[None]
    assert in_some_photo(torch.cat([inside, behind]), ball.views[:1], ball.scale).tolist() == [True, False]


def test_what_lies_outside_all_photos_is_dropped_but_not_what_touches_them(ball):
    far = 40 * ball.views[0].camera.center
    verts = torch.stack([torch.zeros(3), torch.tensor([0.1, 0, 0]), far, far + 1, far + 2])
    faces = torch.tensor([[0, 1, 2], [2, 3, 4]], dtype=torch.int32)
    result = finished(verts, faces, ball.views[:1], ball.config, ball.scale)
    assert torch.equal(result.verts, verts[:3]) and result.faces.tolist() == [[0, 1, 2]]
    config = with_overrides(ball.config, ["extract.drop_unseen=false"])
    assert len(finished(verts, faces, ball.views[:1], config, ball.scale).faces) == 2


def test_a_field_is_positive_where_no_photo_looks(ball):
    points = torch.stack([torch.zeros(3), 40 * ball.views[0].camera.center])
    assert finish(SeenField(Inside(), ball.views[:1], ball.scale).at(points, "field")).tolist() == [-0.5, 0.5]


def test_air_is_what_views_look_through_and_what_none_looks_at(ball):
    beside = torch.tensor([0.0, 0.0, 0.7])
    points = torch.stack([torch.zeros(3), beside, 40 * ball.views[0].camera.center])

    def of(*settings):
        config = with_overrides(ball.config, settings)
        return finish(air(points, ball.splats, ball.views[:1], config.extract, ball.scale)).tolist()
    assert of() == [False, True, True]
    assert of("extract.air_opacity=0") == [False, False, True]
    assert of("extract.drop_unseen=false") == [False, True, False]
    assert of("extract.air_opacity=0", "extract.drop_unseen=false") == [False, False, False]


def test_pivots_that_were_learned_to_be_occupied_in_the_air_make_no_surface(ball):
    pivots = gaussian_pivots(ball.splats.means, ball.splats.scales, ball.splats.quats)
    distance = from_pivot_order(pivots.points.norm(dim=1) - 0.5)
    logits = torch.where(distance.abs() < 0.1, -40 * distance, torch.tensor(2.0))      # a shell of air, filled beyond

    def reach(*settings):
        return float(extracted(ball, logits, *settings).verts.norm(dim=1).quantile(0.99))
    assert reach("extract.air_opacity=0") > 0.6 > reach()
