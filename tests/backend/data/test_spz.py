# SPDX-License-Identifier: Apache-2.0
"""SPZ files: what comes back is what was written, within the format's steps."""

import gzip
import struct

import numpy as np
import pytest

from milo.backend.data.ply import SplatColumns
from milo.backend.data.spz import SpzError, read_spz, write_spz


def random_splats(degree, count=500, reach=3.0):
    rng = np.random.default_rng(degree)
    return SplatColumns(
        means=rng.uniform(-reach, reach, (count, 3)).astype(np.float32),
        sh_dc=rng.uniform(-2, 2, (count, 3)).astype(np.float32),
        sh_rest=rng.uniform(-0.9, 0.9, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
        opacities=rng.uniform(-4, 4, count).astype(np.float32),
        scales=rng.uniform(-9, 2, (count, 3)).astype(np.float32),
        quats=(3 * rng.normal(size=(count, 4))).astype(np.float32),
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_within_the_steps_of_the_format(tmp_path, degree):
    splats = random_splats(degree)
    write_spz(tmp_path / "a.spz", splats)
    back = read_spz(tmp_path / "a.spz")
    assert back.sh_degree == degree
    assert np.abs(back.means - splats.means).max() <= 2.0**-13 + 1e-6
    assert np.abs(back.scales - splats.scales).max() <= 1 / 32 + 1e-6
    assert np.abs(back.sh_dc - splats.sh_dc).max() <= 0.5 / (255 * 0.15) + 1e-6
    opacity = [1 / (1 + np.exp(-one.opacities)) for one in (back, splats)]
    assert np.abs(opacity[0] - opacity[1]).max() <= 0.5 / 255 + 1e-6
    if degree:
        assert np.abs(back.sh_rest[:, :3] - splats.sh_rest[:, :3]).max() <= 1 / 32 + 1e-6
        assert np.abs(back.sh_rest[:, 3:] - splats.sh_rest[:, 3:]).max(initial=0) <= 1 / 16 + 1e-6
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    assert np.abs((back.quats * unit).sum(1)).min() > np.cos(np.deg2rad(0.25) / 2)


def test_a_second_round_trip_changes_nothing(tmp_path):
    write_spz(tmp_path / "a.spz", random_splats(3))
    write_spz(tmp_path / "b.spz", read_spz(tmp_path / "a.spz"))
    first, second = read_spz(tmp_path / "a.spz"), read_spz(tmp_path / "b.spz")
    for name in ("means", "scales", "sh_dc", "sh_rest"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_the_bytes_are_those_of_the_format(tmp_path):
    """One Gaussian at (1, 2, 3) of a PLY, turned by 90 degrees about x: header, then right, up, back, alpha, ..."""
    half = 0.5**0.5
    zeros = np.zeros((1, 3), np.float32)
    one = SplatColumns(np.array([[1, 2, 3]], np.float32), zeros, np.zeros((1, 0, 3), np.float32),
                       zeros[:, 0], zeros, np.array([[half, half, 0, 0]], np.float32))
    write_spz(tmp_path / "a.spz", one)
    data = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert data[:16] == b"NGSP" + struct.pack("<IIBBBB", 3, 1, 0, 12, 0, 0)
    place = [int.from_bytes(data[16 + 3 * k:19 + 3 * k], "little", signed=True) for k in range(3)]
    assert place == [4096, -8192, -12288]
    assert data[25:32] == bytes([128] * 4 + [160] * 3)
    packed = int.from_bytes(data[32:36], "little")
    assert packed >> 30 in (0, 3) and packed & 0x1FF in (0, 511) and len(data) == 36


def test_far_gaussians_are_kept_with_coarser_steps(tmp_path):
    splats = random_splats(0, reach=100_000.0)
    write_spz(tmp_path / "a.spz", splats)
    assert np.abs(read_spz(tmp_path / "a.spz").means - splats.means).max() <= 2.0**-6
    splats.means[0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        write_spz(tmp_path / "b.spz", splats)
    assert not (tmp_path / "b.spz").exists()


@pytest.mark.parametrize("data", [b"", b"not gzip", gzip.compress(b"short"),
                                  gzip.compress(b"NGSP" + struct.pack("<IIBBBB", 3, 10, 3, 12, 0, 0) + bytes(20)),
                                  gzip.compress(b"NGSP" + struct.pack("<IIBBBB", 9, 0, 0, 12, 0, 0))])
def test_damaged_files_are_named(tmp_path, data):
    (tmp_path / "a.spz").write_bytes(data)
    with pytest.raises(SpzError, match=r"a\.spz"):
        read_spz(tmp_path / "a.spz")
