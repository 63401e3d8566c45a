# SPDX-License-Identifier: Apache-2.0
"""Marching tetrahedra: the surface's own properties, the plain PyTorch oracle, finite differences."""

import pytest
import torch

from milo.cuda_ext import tets as ours
from milo.cuda_ext.delaunay import delaunay
from milo.cuda_ext.native import native
from milo.cuda_ext.reference import tets as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def random_points(count, seed=0, dtype=torch.float64):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype) * 2 - 1


def triangulated(count=600, seed=0, dtype=torch.float64):
    points = random_points(count, seed, dtype)
    tets = delaunay(points)
    return points, tets, ours.tet_topology(tets, count)


def random_sdf(count, seed=1, dtype=torch.float64):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def within_the_hull(points, tets, sdf):
    """The same field with sdf > 0 at the points of the convex hull, so that no surface reaches it."""
    facets = torch.cat([tets[:, [1, 2, 3]], tets[:, [0, 2, 3]], tets[:, [0, 1, 3]], tets[:, [0, 1, 2]]])
    facets, count = facets.sort(dim=1).values.unique(dim=0, return_counts=True)
    hull = facets[count == 1].reshape(-1).long()
    return sdf.index_put((hull,), sdf[hull].abs() + 0.01)


def sphere_sdf(points, radius=0.7):
    return points.norm(dim=1) - radius


def edges_with_count(faces):
    directed = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return directed, directed.sort(dim=1).values.unique(dim=0, return_counts=True)[1]


def assert_closed_and_consistent(faces):
    """Each edge lies between exactly two faces, which run along it in opposite directions."""
    directed, count = edges_with_count(faces)
    assert (count == 2).all()
    assert len(directed.unique(dim=0)) == len(directed)


def test_edge_table_is_unique_sorted_and_complete():
    _, tets, topology = triangulated()
    edges, tet_edges = reference.tet_topology(tets)
    assert topology.edges.dtype == topology.tet_edges.dtype == torch.int32
    assert torch.equal(topology.edges.long(), edges)
    assert torch.equal(topology.tet_edges.long(), tet_edges)


def test_edge_table_of_a_vertex_with_many_edges():
    """All tetrahedra at one axis: two vertices see hundreds of others, by another way of sorting."""
    angle = torch.arange(900) * (2 * torch.pi / 900)
    ring = torch.stack([angle.cos(), angle.sin(), 0 * angle], 1)
    points = torch.cat([torch.tensor([[0, 0, -1.0], [0, 0, 1.0]]), ring])
    tets = torch.tensor([[0, 1, 2 + i, 2 + (i + 1) % 900] for i in range(900)], dtype=torch.int32)
    topology = ours.tet_topology(tets, len(points))
    edges, tet_edges = reference.tet_topology(tets)
    assert torch.equal(topology.edges.long(), edges)
    assert torch.equal(topology.tet_edges.long(), tet_edges)


def test_vertex_between_two_points():
    """Spec training.md, A.7."""
    points = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    tets = torch.tensor([[0, 1, 2, 3]], dtype=torch.int32)
    verts, faces, edge_ids = ours.marching_tetrahedra(
        points, torch.tensor([-0.25, 0.75, 0.25, 0.25]), ours.tet_topology(tets, 4)
    )
    torch.testing.assert_close(verts, torch.tensor([[0.25, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]))
    assert edge_ids.tolist() == [0, 1, 2]
    assert faces.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("code", range(16))
def test_each_case_of_one_tetrahedron_faces_the_positive_side(code):
    points = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    positive = torch.tensor([code >> i & 1 for i in range(4)], dtype=torch.bool)
    topology = ours.tet_topology(torch.tensor([[0, 1, 2, 3]], dtype=torch.int32), 4)
    verts, faces, _ = ours.marching_tetrahedra(points, torch.where(positive, 1.0, -1.0), topology)
    number = int(positive.sum())
    assert len(faces) == {0: 0, 1: 1, 2: 2, 3: 1, 4: 0}[number]
    corners = verts[faces.long()]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for normal, corner in zip(normals, corners[:, 0]):
        side = (points - corner) @ normal
        assert (side[positive] > 0).all() and (side[~positive] < 0).all()
    if number == 2:                     # the diagonal joins the vertices on two opposite edges that the spec names
        shared = set(faces[0].tolist()) & set(faces[1].tolist())
        diagonal = {(0, 2), (1, 3)} if positive[0] != positive[2] else {(0, 3), (1, 2)}
        middles = {tuple(verts[v].tolist()) for v in shared}
        assert middles == {tuple(((points[a] + points[b]) / 2).tolist()) for a, b in diagonal}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_surface_of_random_signs_is_closed(dtype):
    points, tets, topology = triangulated(dtype=dtype)
    sdf = within_the_hull(points, tets, random_sdf(len(points), dtype=dtype))
    verts, faces, edge_ids = ours.marching_tetrahedra(points, sdf, topology)
    assert_closed_and_consistent(faces)
    positive = sdf > 0
    a, b = topology.edges.long().unbind(1)
    assert torch.equal(edge_ids.long(), (positive[a] != positive[b]).nonzero().flatten())
    assert torch.equal(faces.unique().long(), torch.arange(len(verts)))


def test_sphere_is_watertight_and_outward():
    points, tets, topology = triangulated(4000)
    verts, faces, _ = ours.marching_tetrahedra(points, within_the_hull(points, tets, sphere_sdf(points)), topology)
    assert_closed_and_consistent(faces)
    _, count = edges_with_count(faces)
    assert len(verts) - len(count) + len(faces) == 2
    corners = verts[faces.long()]
    volume = torch.linalg.det(corners).sum() / 6
    assert volume == pytest.approx(4 / 3 * torch.pi * 0.7**3, rel=0.03)   # flat faces cut the ball's caps off
    assert (verts.norm(dim=1) - 0.7).abs().max() < 0.02


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_faces_on_long_edges_are_left_out(share):
    """A face needs all its vertices on edges that their ends' radii bridge; vertices stay."""
    points, tets, topology = triangulated(3000)
    sdf = random_sdf(len(points))
    lengths = (points[topology.edges[:, 0].long()] - points[topology.edges[:, 1].long()]).norm(dim=1)
    radii = (lengths.quantile(share) / 2 * (1 + 1e-9)).repeat(len(points))
    verts, faces, edge_ids = ours.marching_tetrahedra(points, sdf, topology, radii)
    every, all_faces, every_id = ours.marching_tetrahedra(points, sdf, topology)
    assert torch.equal(verts, every) and torch.equal(edge_ids, every_id)
    _, expected, _ = reference.marching_tetrahedra(points, sdf, tets, radii)
    assert torch.equal(faces.long(), expected)
    assert len(faces) == len(all_faces) if share == 1 else len(faces) < len(all_faces)


def test_two_halves_make_the_whole():
    points, _, topology = triangulated(dtype=torch.float32)
    sdf, radii = random_sdf(len(points), dtype=torch.float32), torch.full((len(points),), 0.1)
    found = ours.find_crossings(points, sdf, topology, radii)
    halves = ours.crossed_surface(points, sdf, found)
    for whole, half in zip(ours.marching_tetrahedra(points, sdf, topology, radii), halves):
        assert torch.equal(whole, half)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("field", [sphere_sdf, lambda points: random_sdf(len(points), dtype=points.dtype)])
def test_matches_the_oracle(dtype, field):
    points, tets, topology = triangulated(3000, dtype=dtype)
    sdf = field(points)
    leaves = points.clone().requires_grad_(), sdf.clone().requires_grad_()
    expected_leaves = points.clone().requires_grad_(), sdf.clone().requires_grad_()
    verts, faces, edge_ids = ours.marching_tetrahedra(*leaves, topology)
    expected = reference.marching_tetrahedra(*expected_leaves, tets)
    assert verts.dtype == dtype and faces.dtype == edge_ids.dtype == torch.int32
    assert torch.equal(faces.long(), expected[1])
    assert torch.equal(edge_ids.long(), expected[2])
    torch.testing.assert_close(verts, expected[0])

    weight = torch.randn(verts.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    (verts * weight).sum().backward()
    (expected[0] * weight).sum().backward()
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-10}[dtype]
    for leaf, expected_leaf in zip(leaves, expected_leaves):
        scale = expected_leaf.grad.abs().max()
        torch.testing.assert_close(leaf.grad / scale, expected_leaf.grad / scale, rtol=tolerance, atol=tolerance)


def test_gradients_by_finite_differences():
    points, _, topology = triangulated(25, seed=4)
    sdf = random_sdf(25, seed=5)
    sdf = sdf + 0.1 * sdf.sign()                                        # no sign changes within the differences
    leaves = points.requires_grad_(), sdf.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, s: ours.marching_tetrahedra(p, s, topology)[0], leaves, nondet_tol=1e-9)


def test_gradient_at_a_value_of_exactly_zero_is_that_of_the_inner_side():
    points = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]], dtype=torch.float64)
    topology = ours.tet_topology(torch.tensor([[0, 1, 2, 3]], dtype=torch.int32), 4)
    sdf = torch.tensor([0, 0.5, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
    verts, _, _ = ours.marching_tetrahedra(points, sdf, topology)
    assert torch.equal(verts, torch.zeros(3, 3, dtype=torch.float64))
    verts[0, 0].backward()                                              # x = -s0 / (s1 - s0)
    torch.testing.assert_close(sdf.grad, torch.tensor([-2.0, 0, 0, 0], dtype=torch.float64))


@pytest.mark.parametrize("device", ["cpu"])
def test_same_to_the_bit_for_any_number_of_threads():
    points, tets, _ = triangulated(9000, dtype=torch.float32)
    sdf = random_sdf(len(points), dtype=torch.float32)
    before, results = native.num_threads(), []
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            leaves = points.clone().requires_grad_(), sdf.clone().requires_grad_()
            topology = ours.tet_topology(tets, len(points))
            out = ours.marching_tetrahedra(*leaves, topology)
            out[0].square().sum().backward()
            results.append([*topology[:3], *out, leaves[0].grad, leaves[1].grad])
    finally:
        native.set_num_threads(before)
    assert len(results[0][3]) > 30_000                                  # large enough to be shared out
    for other in results[1:]:
        assert all(torch.equal(x, y) for x, y in zip(results[0], other))


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_no_crossing_gives_an_empty_surface(value):
    points, _, topology = triangulated(30)
    sdf = torch.full((30,), value, dtype=torch.float64, requires_grad=True)
    verts, faces, edge_ids = ours.marching_tetrahedra(points, sdf, topology)
    assert verts.shape == faces.shape == (0, 3) and edge_ids.shape == (0,)
    verts.sum().backward()
    assert torch.equal(sdf.grad, torch.zeros(30, dtype=torch.float64))


def test_no_tetrahedra_give_an_empty_surface():
    topology = ours.tet_topology(torch.zeros(0, 4, dtype=torch.int32), 5)
    assert topology.edges.shape == (0, 2) and topology.tet_edges.shape == (0, 6)
    verts, faces, _ = ours.marching_tetrahedra(random_points(5), random_sdf(5), topology)
    assert verts.shape == faces.shape == (0, 3)


def test_refuses_what_does_not_fit():
    points, tets, topology = triangulated(30)
    with pytest.raises(ValueError, match="indices from 0 to 29, but there are 20 points"):
        ours.tet_topology(tets, 20)
    with pytest.raises(ValueError, match="tets must be int32"):
        ours.tet_topology(tets.long(), 30)
    with pytest.raises(ValueError, match=r"points must have shape \[30, 3\]"):
        ours.marching_tetrahedra(points[:20], random_sdf(30), topology)
    with pytest.raises(ValueError, match="sdf must be float64"):
        ours.marching_tetrahedra(points, random_sdf(30).float(), topology)
