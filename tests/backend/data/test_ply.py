# SPDX-License-Identifier: Apache-2.0
"""PLY files: bit-exact round trips, the columns of 3DGS, clear errors."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from milo.backend.data.errors import PlyError
from milo.backend.data.ply import SplatColumns, read_mesh, read_points, read_splats, write_mesh, write_splats


def any_floats(rng, *shape):
    """Floats of any bit pattern: NaN payloads, infinities and denormals too."""
    return rng.integers(0, 2**32, shape, np.uint32).view(np.float32)


def any_splats(count, degree, filtered=True, occupancy=True, seed=0):
    rng = np.random.default_rng(seed)
    rest = (degree + 1) ** 2 - 1
    return SplatColumns(
        any_floats(rng, count, 3), any_floats(rng, count, 3), any_floats(rng, count, rest, 3), any_floats(rng, count),
        any_floats(rng, count, 3), any_floats(rng, count, 4),
        any_floats(rng, count) if filtered else None,
        any_floats(rng, count, 9) if occupancy else None,
        any_floats(rng, count, 9) if occupancy else None,
    )


@pytest.mark.parametrize("count, degree, filtered, occupancy", [
    (100, 3, True, True), (100, 0, True, False), (7, 2, False, True), (0, 3, True, True), (1, 1, False, False),
])
def test_splats_round_trip_bit_exact(tmp_path, count, degree, filtered, occupancy):
    splats = any_splats(count, degree, filtered, occupancy)
    write_splats(tmp_path / "splats.ply", splats)
    read = read_splats(tmp_path / "splats.ply")
    assert read.sh_degree == degree
    for field in fields(SplatColumns):
        one, other = getattr(splats, field.name), getattr(read, field.name)
        assert (one is None) == (other is None)
        if one is not None:
            assert other.dtype == np.float32 and other.shape == one.shape
            assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes(), field.name
    assert [path.name for path in tmp_path.iterdir()] == ["splats.ply"]


def test_splat_columns_and_their_order(tmp_path):
    """Spec training.md, 2.9; f_rest is channel-major."""
    splats = any_splats(5, 3)
    write_splats(tmp_path / "splats.ply", splats)
    data = (tmp_path / "splats.ply").read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    header = data[:end].decode().splitlines()
    assert header[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 5"]
    names = [line.removeprefix("property float ") for line in header[3:-1]]
    assert names == [
        *"xyz", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(45)), "opacity",
        "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "filter_3D",
        *(f"base_occupancy_{i}" for i in range(9)), *(f"occupancy_shift_{i}" for i in range(9)),
    ]
    table = np.frombuffer(data[end:], "<u4").reshape(5, len(names))
    for coefficient, channel in ((0, 0), (14, 0), (3, 1), (14, 2)):
        column = names.index(f"f_rest_{15 * channel + coefficient}")
        assert np.array_equal(table[:, column], splats.sh_rest[:, coefficient, channel].view(np.uint32))
    assert (table[:, 3:6] == 0).all()


def test_columns_of_others_are_found_by_name_and_number(tmp_path):
    """Another writer's order, doubles, extra columns and ASCII are fine."""
    names = ["opacity", "rot_3", "rot_0", "rot_1", "rot_2", "x", "y", "z", "f_dc_2", "f_dc_0", "f_dc_1",
             "scale_1", "scale_0", "scale_2", *(f"f_rest_{i}" for i in (10, 9, 11, *range(9)[::-1])), "extra"]
    # f_rest_0..8 exist for degree 1; 9..11 belong to none: 12 columns are no degree
    header = ["ply", "format ascii 1.0", "element vertex 1", *(f"property double {n}" for n in names), "end_header"]
    path = tmp_path / "other.ply"
    path.write_text("\n".join(header) + "\n" + " ".join(map(str, range(len(names)))) + "\n")
    with pytest.raises(PlyError, match=r"12 columns f_rest_\*"):
        read_splats(path)
    names = [name for name in names if name not in ("f_rest_9", "f_rest_10", "f_rest_11")]
    header = ["ply", "format ascii 1.0", "element vertex 1", *(f"property double {n}" for n in names), "end_header"]
    path.write_text("\n".join(header) + "\n" + " ".join(map(str, range(len(names)))) + "\n")
    read = read_splats(path)
    assert read.opacities.tolist() == [0] and read.quats.tolist() == [[2, 3, 4, 1]]
    assert read.scales.tolist() == [[12, 11, 13]] and read.filter_3d is None
    assert read.sh_rest[0, :, 0].tolist() == [names.index(f"f_rest_{i}") for i in range(3)]


def test_splats_of_a_wrong_type_are_refused(tmp_path):
    splats = any_splats(4, 1)
    with pytest.raises(ValueError, match="scales is float64"):
        write_splats(tmp_path / "x.ply", replace(splats, scales=splats.scales.astype(float)))
    with pytest.raises(ValueError, match=r"quats is float32 \(3, 4\)"):
        write_splats(tmp_path / "x.ply", replace(splats, quats=splats.quats[:3]))
    with pytest.raises(ValueError, match="both or neither"):
        write_splats(tmp_path / "x.ply", replace(splats, occupancy_shift=None))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("colored", [True, False])
def test_mesh_round_trip(tmp_path, dtype, colored):
    rng = np.random.default_rng(0)
    verts = rng.normal(size=(50, 3)).astype(dtype)
    faces = rng.integers(0, 50, (80, 3))
    colors = rng.integers(0, 256, (50, 3), np.uint8) if colored else None
    write_mesh(tmp_path / "mesh.ply", verts, faces, colors)
    read_verts, read_faces, read_colors = read_mesh(tmp_path / "mesh.ply")
    assert read_verts.dtype == dtype and np.array_equal(read_verts, verts)
    assert read_faces.dtype == np.int32 and np.array_equal(read_faces, faces)
    assert np.array_equal(read_colors, colors) if colored else read_colors is None


def test_empty_mesh(tmp_path):
    write_mesh(tmp_path / "mesh.ply", np.zeros((0, 3), np.float32), np.zeros((0, 3), int), np.zeros((0, 3), np.uint8))
    verts, faces, colors = read_mesh(tmp_path / "mesh.ply")
    assert verts.shape == faces.shape == colors.shape == (0, 3)


def test_mesh_of_the_sample_scene(suzanne):
    verts, faces, colors = read_mesh(suzanne / "gt_mesh.ply")
    assert verts.shape == (10360, 3) and faces.shape == (20544, 3) and colors.shape == (10360, 3)
    points, point_colors = read_points(suzanne / "gt_mesh.ply")
    assert np.array_equal(points, verts.astype(np.float64)) and np.array_equal(colors, point_colors)


def ascii_mesh(path, vertices, faces, list_name="vertex_index"):
    lines = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}", "property float x", "property float y",
             "property float z", f"element face {len(faces)}", f"property list uchar int {list_name}", "end_header"]
    lines += [" ".join(map(str, vertex)) for vertex in vertices]
    lines += [" ".join(map(str, [len(face), *face])) for face in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]


def test_ascii_mesh_with_vertex_index(tmp_path):
    verts, faces, colors = read_mesh(ascii_mesh(tmp_path / "m.ply", SQUARE, [(0, 1, 2), (0, 2, 3)]))
    assert verts.tolist() == [list(v) for v in SQUARE] and faces.tolist() == [[0, 1, 2], [0, 2, 3]] and colors is None


@pytest.mark.parametrize("vertices, faces, words", [
    (SQUARE, [(0, 1, 2, 3)], "PLY|triangle"),
    (SQUARE, [(0, 1, 4)], "does not exist"),
    ([*SQUARE[:3], ("nan", 0, 0)], [(0, 1, 2)], "not finite"),
])
def test_bad_meshes(tmp_path, vertices, faces, words):
    with pytest.raises(PlyError, match=words):
        read_mesh(ascii_mesh(tmp_path / "m.ply", vertices, faces))


def test_bad_files(tmp_path):
    with pytest.raises(PlyError, match="no such file"):
        read_mesh(tmp_path / "none.ply")
    (tmp_path / "text.ply").write_text("hello\n")
    with pytest.raises(PlyError, match="not a readable PLY"):
        read_splats(tmp_path / "text.ply")
    write_mesh(tmp_path / "mesh.ply", np.zeros((9, 3), np.float32), np.zeros((5, 3), int))
    with pytest.raises(PlyError, match="no column opacity"):
        read_splats(tmp_path / "mesh.ply")
    data = (tmp_path / "mesh.ply").read_bytes()
    (tmp_path / "mesh.ply").write_bytes(data[:-10])
    with pytest.raises(PlyError, match="not a readable PLY"):
        read_mesh(tmp_path / "mesh.ply")
    write_splats(tmp_path / "splats.ply", any_splats(3, 1))
    with pytest.raises(PlyError, match="no faces"):
        read_mesh(tmp_path / "splats.ply")
