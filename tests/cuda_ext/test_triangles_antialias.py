# SPDX-License-Identifier: Apache-2.0
"""Silhouette antialiasing: cases worked out by hand, the oracle, finite differences."""

import pytest
import torch

from milo.cuda_ext import triangles
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import triangles as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "triangles")

FRONT = torch.eye(4)
PIXELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])   # x / z and y / z are pixels, corner at 0
SIZE = (4, 6)


def mesh(corners, faces):
    """Vertices given as (column, row, z) on the image; column 0.5 is the centre of the first pixel."""
    corners = torch.tensor(corners, dtype=torch.float64)
    verts = torch.cat([corners[:, :2] * corners[:, 2:], corners[:, 2:]], 1)
    return verts, torch.tensor(faces, dtype=torch.int32)


def transpose(verts):
    return verts[:, [1, 0, 2]]


def blended(image, verts, faces, size=SIZE):
    face_id = triangles.visibility(verts.detach(), faces, FRONT, PIXELS, size)
    return triangles.antialias(image(face_id), verts, faces, face_id, FRONT, PIXELS)


def covered(face_id):
    return (face_id >= 0).double()[None]


def wall(edge, z=1.0):
    """A triangle that covers all columns left of `edge`."""
    return mesh([(edge, -90.0, z), (edge, 90.0, z), (-90.0, 0.0, z)], [[0, 1, 2]])


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("edge, expected", [
    (2.8, [1, 1, 0.8, 0, 0, 0]),     # s = 0.3: the covered pixel loses 0.2
    (3.3, [1, 1, 1, 0.3, 0, 0]),     # s = 0.8: the next one gains 0.3
    (3.0, [1, 1, 1, 0, 0, 0]),       # s = 0.5: nothing moves
])
def test_an_upright_edge(edge, expected, vertical):
    verts, faces = wall(edge)
    expected = torch.tensor([expected], dtype=torch.float64).expand(4, 6)
    if vertical:
        verts = transpose(verts)
    out = blended(covered, verts, faces, size=(6, 4) if vertical else SIZE)[0]
    if vertical:
        out = out.T
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_an_edge_that_slides_over_two_pixels(left, vertical):
    """The blended coverage is the exact area left of the edge, so its derivative by the edge's place is the height."""
    height, width = 5, 9
    for edge in torch.linspace(3.02, 5.02, 21).tolist():
        verts, faces = wall(edge)
        if left:   # the mirror image
            verts = torch.stack([width - verts[:, 0], verts[:, 1], verts[:, 2]], 1)
        if vertical:
            verts = transpose(verts)
        verts = verts.clone().requires_grad_()
        total = blended(covered, verts, faces, size=(width, height) if vertical else (height, width)).sum()
        (gradient,) = torch.autograd.grad(total, verts)
        assert total.item() == pytest.approx(edge * height, abs=1e-9)
        moved = gradient[:2, 1 if vertical else 0].sum() * (-1 if left else 1)
        assert moved.item() == pytest.approx(height, abs=1e-9)
        assert (gradient[2] == 0).all()


def test_gradient_of_a_leaning_edge_by_hand():
    """One row; an edge with ends at depths 1 and 2 crosses the row of centres half-way, at column 2.6."""
    verts, faces = mesh([(2.0, -0.5, 1.0), (3.2, 1.5, 2.0), (-5.0, 0.5, 1.0)], [[0, 1, 2]])
    verts.requires_grad_()
    out = blended(covered, verts, faces, size=(1, 5))   # s = 0.1, slope 0.6
    torch.testing.assert_close(out[0, 0], torch.tensor([1, 1, 0.6, 0, 0], dtype=torch.float64), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(out.sum(), verts)
    # in pixels each end takes half of d/dx = 1 and of d/dy = -slope; an end's x and y are z times its pixels
    upper, lower = (0.5, -0.3, -(0.5 * 2.0 - 0.3 * -0.5)), (0.25, -0.15, -(0.25 * 3.2 - 0.15 * 1.5))
    expected = torch.tensor([upper, lower, (0.0, 0.0, 0.0)], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_a_flat_edge_blends_vertical_pairs_only():
    verts, faces = mesh([(-90.0, 1.8, 1.0), (90.0, 1.9, 1.0), (0.0, -90.0, 1.0)], [[0, 1, 2]])
    out = blended(covered, verts, faces)[0]
    assert (out[0] == 1).all() and (out[2:] == 0).all()
    rise = 1.8 + 0.1 * (torch.arange(6).double() + 90.5) / 180   # row of the edge at each column
    torch.testing.assert_close(out[1], rise - 1, rtol=0, atol=1e-12)


def test_a_diagonal_edge_counts_as_upright():
    """Along x - y = 2.25 a horizontal pair blends, the vertical pair at the same corner does not."""
    verts, faces = mesh([(-17.75, -20.0, 1.0), (22.25, 20.0, 1.0), (-40.0, 20.0, 1.0)], [[0, 1, 2]])
    out = blended(covered, verts, faces)[0]
    # row 1 (y = 1.5): edge at 3.75, pixel 3 (centre 3.5) is in, s = 0.25 -> 0.75
    torch.testing.assert_close(out[1], torch.tensor([1, 1, 1, 0.75, 0, 0], dtype=torch.float64), rtol=0, atol=1e-12)


def test_an_edge_inside_the_surface_is_left_alone():
    """A fold that both faces continue across the edge is no silhouette, whichever of them is nearer."""
    verts, faces = mesh([(2.8, -90, 1.0), (2.8, 90, 1.0), (-90, 0, 1.5), (90, 0, 1.5)], [[0, 1, 2], [0, 1, 3]])
    face_id = triangles.visibility(verts, faces, FRONT, PIXELS, SIZE)
    assert set(face_id.unique().tolist()) == {0, 1}
    image = torch.rand(2, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(triangles.antialias(image, verts, faces, face_id, FRONT, PIXELS), image)


def test_an_edge_folded_back_is_a_silhouette():
    """The second face lies behind the first, on the same side of the edge, seen by no pixel."""
    verts, faces = mesh([(2.8, -90, 1.0), (2.8, 90, 1.0), (-90, 0, 1.0), (-90, 0, 1.5)], [[0, 1, 2], [1, 0, 3]])
    out = blended(covered, verts, faces)[0]
    torch.testing.assert_close(out[:, 2], torch.full((4,), 0.8, dtype=torch.float64))


def test_a_hidden_neighbour_counts():
    """A sliver too thin for any pixel centre continues the surface: its edge to the wall is then no silhouette."""
    verts, faces = mesh([(2.8, -90, 1.0), (2.8, 90, 1.0), (-90, 0, 1.0), (3.1, 0, 1.0)], [[0, 1, 2], [1, 0, 3]])
    out = blended(covered, verts, faces)[0]
    assert torch.equal(out, covered(triangles.visibility(verts, faces, FRONT, PIXELS, SIZE))[0])


def test_the_nearer_surface_decides():
    """Of two overlapping walls the nearer one's edge blends the two depths; the hidden edge does nothing."""
    near_verts, near_faces = wall(2.8, z=1.0)
    far_verts, far_faces = wall(4.3, z=2.0)
    verts, faces = torch.cat([far_verts, near_verts]), torch.cat([far_faces, near_faces + 3])
    face_id = triangles.visibility(verts, faces, FRONT, PIXELS, SIZE)
    depth = triangles.face_depth(verts, faces, face_id, FRONT, PIXELS)
    out = triangles.antialias(depth[None], verts, faces, face_id, FRONT, PIXELS)[0]
    # 1 + 0.2 (2 - 1) at the near edge; the far edge at s = 0.8 gives the next pixel 0.3 of 2
    torch.testing.assert_close(out[0], torch.tensor([1, 1, 1.2, 2, 0.6, 0], dtype=torch.float64), rtol=0, atol=1e-12)


def scene(seed, dtype=torch.float64):
    """A soup with a strip in it, a vertex behind the camera, on few pixels: the oracle takes its time."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(15, 1, 3, generator=generator, dtype=torch.float64) * 0.7 + torch.tensor([0.0, 0.0, 3.0])
    loose = (middle + 0.4 * torch.randn(15, 3, 3, generator=generator, dtype=torch.float64)).reshape(45, 3)
    loose[0, 2] -= 6
    strip = torch.randn(20, 3, generator=generator, dtype=torch.float64) * 0.6 + torch.tensor([0.0, 0.0, 4.0])
    corners = torch.arange(45).reshape(15, 3)
    along = 45 + torch.stack([torch.arange(18), torch.arange(1, 19), torch.arange(2, 20)], 1)
    verts, faces = torch.cat([loose, strip]), torch.cat([corners, along])
    K = torch.tensor([[20.0, 0.0, 12.3], [0.0, 18.0, 9.6], [0.0, 0.0, 1.0]])
    return verts.to(dtype), faces.int(), K, (20, 24)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 2e-3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_matches_the_oracle(seed, dtype, tolerance):
    verts, faces, K, size = scene(seed, dtype)
    face_id = triangles.visibility(verts, faces, FRONT, K, size)
    generator = torch.Generator().manual_seed(seed)
    image, g = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    ours = (image.to(dtype).requires_grad_(), verts.requires_grad_())
    oracle = (image.clone().requires_grad_(), verts.detach().double().requires_grad_())
    out = triangles.antialias(*ours, faces, face_id, FRONT, K)
    expected = reference.antialias(*oracle, faces, face_id, FRONT, K)
    assert ((expected - image).abs() > 1e-6).any(0).sum() > 30
    torch.testing.assert_close(out.double(), expected, rtol=tolerance, atol=tolerance)
    for a, b in zip(torch.autograd.grad(out, ours, g.to(dtype)), torch.autograd.grad(expected, oracle, g)):
        assert b.abs().max() > 0
        assert (a.double() - b).abs().max() < tolerance * b.abs().max()


def test_gradients_are_those_of_finite_differences():
    verts, faces, K, size = scene(4)
    face_id = triangles.visibility(verts, faces, FRONT, K, size)
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = (image.requires_grad_(), verts.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda i, v: triangles.antialias(i, v, faces, face_id, FRONT, K), inputs, eps=1e-7, atol=1e-5, nondet_tol=1e-9
    )


@pytest.mark.parametrize("device", ["cpu"])
def test_result_does_not_depend_on_threads():
    side = 120
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    ripples = 2.0 + 0.5 * torch.sin(row * 0.9) * torch.cos(column * 0.7)   # folds over itself: many silhouettes
    verts = torch.stack([(column - 60) / 40, (row - 60) / 40, ripples], -1).reshape(-1, 3).requires_grad_()
    corner = (row * side + column)[:-1, :-1].reshape(-1)
    faces = torch.cat([torch.stack([corner, corner + 1, corner + side], 1),
                       torch.stack([corner + 1, corner + side + 1, corner + side], 1)]).int()
    K = torch.tensor([[90.0, 0.0, 64.0], [0.0, 90.0, 48.0], [0.0, 0.0, 1.0]])

    def run(threads):
        native.set_num_threads(threads)
        face_id = triangles.visibility(verts, faces, FRONT, K, (96, 128))
        depth = triangles.face_depth(verts, faces, face_id, FRONT, K)[None]
        out = triangles.antialias(depth, verts, faces, face_id, FRONT, K)
        return depth, out, *torch.autograd.grad(out.log1p().sum(), verts)

    try:
        one, three = run(1), run(3)
    finally:
        native.set_num_threads(0)
    assert ((one[0] - one[1]).abs() > 1e-3).sum() > 200
    assert all(torch.equal(a, b) for a, b in zip(one, three))


def test_nothing_to_blend():
    """No face, one face over the whole image, one pixel: the image comes back, gradients are 1 and 0."""
    verts, faces = wall(90.0)
    for some, size in ((faces[:0], SIZE), (faces, SIZE), (faces, (1, 1))):
        verts = verts.detach().requires_grad_()
        image = torch.rand(2, *size, dtype=torch.float64).requires_grad_()
        out = blended(lambda face_id, image=image: image, verts, some, size)
        assert torch.equal(out, image)
        g_image, g_verts = torch.autograd.grad(out.sum(), (image, verts))
        assert (g_image == 1).all() and (g_verts == 0).all()


def test_image_must_fit_the_faces():
    verts, faces = wall(2.0)
    face_id = triangles.visibility(verts, faces, FRONT, PIXELS, SIZE)
    with pytest.raises(ValueError, match="image must have shape"):
        triangles.antialias(torch.zeros(SIZE, dtype=torch.float64), verts, faces, face_id, FRONT, PIXELS)
