# SPDX-License-Identifier: Apache-2.0
"""The triangle rasteriser against ray casting, analytic planes and finite differences."""

import math

import pytest
import torch
from scipy.spatial import ConvexHull, Delaunay

from milo.cuda_ext import triangles
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import triangles as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "triangles")

SIZE = (48, 64)
K = torch.tensor([[50.0, 0.0, 30.3], [0.0, 55.0, 22.7], [0.0, 0.0, 1.0]])   # the principal point is off centre
FRONT = torch.eye(4)


def tilted_camera(dtype=torch.float32):
    """A camera at (0.3, -0.2, -4) that looks roughly at the origin, rolled and off axis."""
    turn = torch.tensor([[0.0, 0.15, -0.1], [-0.15, 0.0, 0.1], [0.1, -0.1, 0.0]], dtype=dtype)
    viewmat = torch.eye(4, dtype=dtype)
    viewmat[:3, :3] = torch.linalg.matrix_exp(turn)   # of a skew matrix: a rotation
    viewmat[:3, 3] = -viewmat[:3, :3] @ torch.tensor([0.3, -0.2, -4.0], dtype=dtype)
    return viewmat


def soup(seed, faces=60, behind=0.0, dtype=torch.float64):
    """Random triangles in front of FRONT; a share of the vertices is moved behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    verts = torch.randn(faces * 2, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0.0, 4.0])
    verts[: int(behind * len(verts)), 2] -= 4.0
    corners = torch.rand(faces, len(verts), generator=generator).argsort(1)[:, :3]   # distinct: no face without area
    return verts.to(dtype), corners.int().contiguous()


def sphere(points, seed=0, radius=1.0):
    """Convex hull of random points on a sphere around (0, 0, 4), faces oriented outwards."""
    generator = torch.Generator().manual_seed(seed)
    verts = torch.nn.functional.normalize(torch.randn(points, 3, generator=generator, dtype=torch.float64), dim=-1)
    faces = torch.from_numpy(ConvexHull(verts.numpy()).simplices).long()
    v0, v1, v2 = verts[faces].unbind(1)
    inwards = (torch.linalg.cross(v1 - v0, v2 - v0) * v0).sum(-1) < 0
    faces[inwards] = faces[inwards].flip(-1)
    return radius * verts + torch.tensor([0.0, 0.0, 4.0]), faces.int()


def clear_pixels(verts, faces, viewmat, K, size, margin=2e-3):
    """Pixels whose ray stays away from edges and from ties in depth: rounding cannot change what they see."""
    rays = reference.pixel_rays(K, size, verts)
    corners = reference.camera_frame(verts, viewmat)[faces.long()]
    clear = torch.ones(size, dtype=torch.bool)
    depths = []
    for triangle in corners:
        weights = reference.barycentrics(triangle, rays)
        z = weights @ triangle[:, 2]
        clear &= ((weights.min(-1).values.abs() > margin) & ((z - 0.01).abs() > 1e-4)) | (weights.max(-1).values > 50)
        depths.append(torch.where((weights > 0).all(-1) & (z > 0), z, math.inf))
    nearest = torch.stack(depths).sort(0).values[:2]
    return clear & ~((nearest[1] - nearest[0]) < 1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("behind", [0.0, 0.25])
@pytest.mark.parametrize("seed", [1, 2])
def test_soup_is_what_rays_hit(seed, behind, dtype):
    """Random triangles, some crossing the near plane, at every pixel that no edge passes close to."""
    verts, faces = soup(seed, behind=behind, dtype=dtype)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    cast = reference.visibility(verts.double(), faces, FRONT, K, SIZE)
    clear = clear_pixels(verts.double(), faces, FRONT, K, SIZE)
    assert clear.float().mean() > 0.6
    assert torch.equal(face_id[clear], cast[clear])
    assert (face_id != cast).float().mean() < 0.01


def test_near_and_far_planes():
    verts, faces = soup(5, behind=0.3)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE, near=1.5, far=4.0)
    cast = reference.visibility(verts, faces, FRONT, K, SIZE, near=1.5, far=4.0)
    assert (face_id != cast).float().mean() < 0.01
    depth = triangles.face_depth(verts, faces, face_id, FRONT, K)[face_id >= 0]
    assert depth.min() > 1.49 and depth.max() < 4.01 and len(depth) > 500


def test_floor_under_the_camera():
    """A floor of two faces with vertices behind the camera and far beyond the frame shows up to its horizon."""
    verts = torch.tensor([[-1e5, 1.0, -1e5], [1e5, 1.0, -1e5], [1e5, 1.0, 1e5], [-1e5, 1.0, 1e5]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    depth = triangles.face_depth(verts, faces, face_id, FRONT, K)
    rows = (torch.arange(SIZE[0]) + 0.5 - K[1, 2]) / K[1, 1]
    assert torch.equal(face_id >= 0, (rows > 0)[:, None].expand(SIZE))
    torch.testing.assert_close(depth[24:], (1 / rows[24:, None]).expand(-1, SIZE[1]), rtol=1e-5, atol=0)


def coverage(verts, faces, size, K):
    """How many faces cover each pixel, each drawn alone."""
    return sum((triangles.visibility(verts, face[None], FRONT, K, size) >= 0).int() for face in faces)


def test_shared_edges_are_covered_exactly_once():
    """With vertices and edges on pixel centres, each pixel belongs to exactly one face of a triangulated square."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[-0.5, -0.5], [15.5, -0.5], [15.5, 15.5], [-0.5, 15.5]])
    inner = torch.randint(0, 30, (25, 2), generator=generator) / 2.0   # in half pixels, 0 is the first centre
    plane = torch.unique(torch.cat([corners, inner]), dim=0)
    lens = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    faces = torch.from_numpy(Delaunay(plane.numpy()).simplices).int()
    flipped = torch.rand(len(faces), generator=generator) < 0.5
    faces[flipped] = faces[flipped].flip(-1)
    z = 1 + torch.rand(len(plane), 1, generator=generator)
    verts = torch.cat([plane * z, z], 1)
    assert torch.equal(coverage(verts, faces, (16, 16), lens), torch.ones(16, 16, dtype=torch.int32))


def test_shared_edges_survive_clipping():
    """A fan around a vertex behind the camera still covers each pixel at most once, and everything inside its rim."""
    angle = torch.linspace(0, 2 * math.pi, 14)[:-1]
    rim = torch.stack([0.4 * angle.cos(), 0.4 * angle.sin(), 1 + 0.3 * (3 * angle).sin()], 1)
    verts = torch.cat([torch.tensor([[0.05, 0.02, -2.0]]), rim])
    faces = torch.tensor([[0, 1 + k, 1 + (k + 1) % 13] for k in range(13)], dtype=torch.int32)
    count = coverage(verts, faces, SIZE, K)
    cast = sum((reference.visibility(verts.double(), face[None], FRONT, K, SIZE) >= 0).int() for face in faces)
    assert count.max() == 1
    assert (count != cast).sum() <= 3 and (count > 0).sum() > 300


def test_closed_mesh_has_no_holes():
    """Of a convex mesh each ray inside meets one front and one back face, and the nearest is a front face."""
    verts, faces = sphere(400)
    v0, v1, v2 = verts[faces.long()].unbind(1)
    front = (torch.linalg.cross(v1 - v0, v2 - v0) * v0).sum(-1) < 0
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    covered = face_id >= 0
    assert front[face_id[covered].long()].all()
    for side in (front, ~front):
        assert torch.equal(coverage(verts, faces[side], SIZE, K), covered.int())
    assert torch.equal(covered, reference.visibility(verts, faces, FRONT, K, SIZE) >= 0)


@pytest.mark.parametrize("device", ["cpu"])
def test_result_does_not_depend_on_threads_or_order():
    verts, faces = sphere(30_000)
    verts, mixed = verts.float(), torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    whole_image = torch.tensor([[-9.0, -9.0, 5.0], [9.0, -9.0, 5.5], [0.0, 20.0, 6.0]])   # takes the path by rows
    faces = torch.cat([faces, torch.tensor([[0, 1, 2]], dtype=torch.int32) + len(verts)])
    verts = torch.cat([verts, whole_image]).requires_grad_()

    def run(threads):
        native.set_num_threads(threads)
        face_id = triangles.visibility(verts, faces, FRONT, K * 4, (192, 256))
        depth = triangles.face_depth(verts, faces, face_id, FRONT, K * 4)
        normal = triangles.face_normals(verts, faces, face_id, FRONT)
        return face_id, *torch.autograd.grad((depth.cos().sum() + (normal**3).sum()), verts)

    try:
        one, three, seven = run(1), run(3), run(7)
    finally:
        native.set_num_threads(0)
    for other in (three, seven):
        assert all(torch.equal(a, b) for a, b in zip(one, other))
    faces = torch.cat([faces[:-1][mixed], faces[-1:]])
    place = torch.cat([mixed, torch.tensor([len(mixed)])])
    again = triangles.visibility(verts, faces, FRONT, K * 4, (192, 256))
    assert torch.equal(torch.where(again >= 0, place[again.clamp(min=0).long()], -1), one[0].long())


def test_equal_depth_goes_to_the_lower_face():
    verts = torch.tensor([[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [0.0, 1.0, 2.0]])
    faces = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 2, 0]], dtype=torch.int32)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    assert set(face_id.unique().tolist()) == {-1, 0}


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_see(count):
    """No face, or faces of no area, not finite, or behind the camera: an empty image and zero gradients."""
    verts = torch.tensor([[0.0, 0, 2], [1, 0, 2], [2, 0, 2], [0, math.nan, 2], [0, 0, -1], [1, 0, -1], [1, 1, -1]])
    verts.requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, 1, 3], [4, 5, 6]], dtype=torch.int32)[:count]
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    depth = triangles.face_depth(verts, faces, face_id, FRONT, K)
    normal = triangles.face_normals(verts, faces, face_id, FRONT)
    assert (face_id == -1).all() and (depth == 0).all() and (normal == 0).all()
    (depth.sum() + normal.sum()).backward()
    assert (verts.grad == 0).all()


def test_depth_and_normal_of_a_plane_that_fills_the_image():
    normal = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, -1.0], dtype=torch.float64), dim=0)
    anchor = torch.tensor([0.1, 0.2, 3.0], dtype=torch.float64)
    corners = torch.tensor([[-20.0, -20.0], [20.0, -20.0], [20.0, 20.0], [-20.0, 20.0]], dtype=torch.float64)
    z = anchor[2] - ((corners - anchor[:2]) * normal[:2]).sum(-1) / normal[2]
    view = torch.cat([corners, z[:, None]], 1)
    viewmat = tilted_camera(torch.float64)
    verts = (view - viewmat[:3, 3]) @ viewmat[:3, :3]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    face_id = triangles.visibility(verts, faces, viewmat, K, SIZE)
    assert (face_id >= 0).all() and len(face_id.unique()) == 2
    depth = triangles.face_depth(verts, faces, face_id, viewmat, K)
    expected = (normal @ anchor) / (reference.pixel_rays(K, SIZE, normal) @ normal)
    torch.testing.assert_close(depth, expected, rtol=1e-12, atol=0)
    seen = triangles.face_normals(verts, faces, face_id, viewmat)
    torch.testing.assert_close(seen, -normal[:, None, None].expand(3, *SIZE), rtol=0, atol=1e-12)


def test_interpolation_is_perspective_correct():
    """Attributes that are affine in space come out affine in the points that the pixels see."""
    verts, faces = sphere(300)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    attributes = torch.cat([verts, verts @ torch.tensor([[0.3], [-0.2], [0.7]], dtype=torch.float64) + 2.0], 1)
    seen = triangles.interpolate(attributes, verts, faces, face_id, FRONT, K)
    depth = triangles.face_depth(verts, faces, face_id, FRONT, K)
    points = depth[..., None] * reference.pixel_rays(K, SIZE, verts)
    covered = face_id >= 0
    torch.testing.assert_close(seen[:3].movedim(0, -1)[covered], points[covered], rtol=0, atol=2e-4)   # snapped centres
    affine = points @ torch.tensor([0.3, -0.2, 0.7], dtype=torch.float64) + 2.0
    assert ((seen[3] - affine)[covered].abs() < 1e-10).float().mean() > 0.99
    assert (seen[:, ~covered] == 0).all()


def outputs(module, verts, attributes, faces, face_id, viewmat):
    return (
        module.face_depth(verts, faces, face_id, viewmat, K),
        module.face_normals(verts, faces, face_id, viewmat),
        module.interpolate(attributes, verts, faces, face_id, viewmat, K),
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_matches_the_oracle(dtype, tolerance):
    """Values and gradients of each output, on a soup that crosses the near plane, from a tilted camera."""
    verts, faces = soup(7, behind=0.2)
    viewmat = tilted_camera()
    verts = (verts - torch.tensor([0.0, 0.0, 4.0])).to(dtype)
    attributes = torch.randn(len(verts), 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    face_id = triangles.visibility(verts, faces, viewmat, K, SIZE)
    assert (face_id >= 0).float().mean() > 0.3
    ours = [verts.clone().requires_grad_(), attributes.clone().requires_grad_()]
    oracle = [verts.double().requires_grad_(), attributes.double().requires_grad_()]
    view = (faces, face_id, viewmat)
    for a, b in zip(outputs(triangles, *ours, *view), outputs(reference, *oracle, *view)):
        torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=tolerance)
        g = torch.randn(b.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        grads = torch.autograd.grad(a, ours, g.to(dtype), allow_unused=True)
        expected = torch.autograd.grad(b, oracle, g, allow_unused=True)
        for x, y in zip(grads, expected):
            if y is not None:
                assert (x.double() - y).abs().max() < tolerance * y.abs().max()


def test_gradients_are_those_of_finite_differences():
    verts, faces = sphere(40)
    face_id = triangles.visibility(verts, faces, FRONT, K / 4, (12, 16))
    attributes = torch.randn(len(verts), 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    lens = K / 4
    ours = (verts.requires_grad_(), attributes.requires_grad_())
    inner = face_id.clone()   # away from the edges of faces, where the nearest-point rule has its kink
    corner_weights = triangles.interpolate(torch.eye(len(verts)).double(), verts, faces, face_id, FRONT, lens).detach()
    inner[corner_weights.sort(0).values[-3] < 1e-3] = -1
    assert (inner >= 0).sum() > 30
    any_order = {"nondet_tol": 1e-9}   # of sums on a GPU
    assert torch.autograd.gradcheck(lambda v: triangles.face_depth(v, faces, inner, FRONT, lens), ours[:1], **any_order)
    assert torch.autograd.gradcheck(lambda v: triangles.face_normals(v, faces, inner, FRONT), ours[:1], **any_order)
    assert torch.autograd.gradcheck(
        lambda v, a: triangles.interpolate(a, v, faces, inner, FRONT, lens), ours, **any_order
    )


@pytest.mark.parametrize("device", ["cpu"])
def test_errors_name_the_argument():
    verts, faces = soup(0)
    face_id = triangles.visibility(verts, faces, FRONT, K, SIZE)
    with pytest.raises(ValueError, match="faces must be int32"):
        triangles.visibility(verts, faces.long(), FRONT, K, SIZE)
    with pytest.raises(ValueError, match="verts must have shape"):
        triangles.face_depth(verts[:, :2], faces, face_id, FRONT, K)
    with pytest.raises(ValueError, match="faces names a vertex"):
        triangles.visibility(verts, faces + len(verts), FRONT, K, SIZE)
    with pytest.raises(ValueError, match="face_id names a face"):
        triangles.face_normals(verts, faces[:1], face_id, FRONT)
    with pytest.raises(ValueError, match="attributes must have shape"):
        triangles.interpolate(verts[:-1], verts, faces, face_id, FRONT, K)
    with pytest.raises(ValueError, match="near must be"):
        triangles.visibility(verts, faces, FRONT, K, SIZE, near=0.0)
