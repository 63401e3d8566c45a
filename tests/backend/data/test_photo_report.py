# SPDX-License-Identifier: Apache-2.0
"""What the report on photos sees: blur, light, size, gaps; and what it says about them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from milo.backend.data.coverage import measure_coverage
from milo.backend.data.errors import SceneError
from milo.backend.data.photo_files import PhotoFile, find_photos, read_exif, read_upright
from milo.backend.data.photo_report import as_text, judge, measure, measure_photos
from milo.backend.data.posed_report import report_of
from milo.backend.data.sharpness import sharpness

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"


def texture(seed: int = 0, size=(600, 800)) -> np.ndarray:
    """[H, W] 0..255: as much detail at every scale, as natural pictures have."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1]), indexing="ij"))
    spectrum = np.fft.fft2(rng.normal(size=size)) / np.maximum(frequency, 1 / max(size))
    picture = np.fft.ifft2(spectrum).real
    return np.clip(128 + 50 * picture / picture.std(), 0, 255)


def save(folder: Path, name: str, pixels, **how) -> PhotoFile:
    folder.mkdir(exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels).astype(np.uint8))
    image.convert("RGB").save(folder / name, quality=95, **how)
    return PhotoFile(name, folder / name)


@pytest.mark.parametrize("contrast", [0.3, 1.0])
def test_sharpness_falls_with_blur_and_not_with_contrast(contrast):
    base = Image.fromarray((128 + contrast * (texture() - 128)).astype(np.uint8))
    values = [sharpness(np.asarray(base.filter(ImageFilter.GaussianBlur(radius)), np.float32))
              for radius in (0, 0.7, 1.5, 3)]
    assert values[0] > 0.6 and values[0] > 1.3 * values[1] and values[1] > 1.3 * max(values[2:])
    assert max(values[2:]) < 0.3 * values[0]


def test_sharpness_looks_inside_the_mask():
    sharp, flat = texture().astype(np.float32), np.full((600, 800), 90, np.float32)
    both = np.where(np.arange(800) < 400, sharp, flat)
    left = np.broadcast_to(np.arange(800) < 380, (600, 800))
    assert sharpness(both, left) == pytest.approx(sharpness(sharp[:, :380]), abs=0.05)
    assert sharpness(both, np.broadcast_to(np.arange(800) > 420, (600, 800))) == 0.0


def test_each_fault_is_found_and_the_good_ones_have_none(tmp_path):
    folder = tmp_path / "photos"
    for i in range(14):
        save(folder, f"good_{i:02}.jpg", texture(i))
    save(folder, "blurred.jpg", Image.fromarray(texture(20).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2)))
    save(folder, "dark.jpg", texture(21) * 0.1)
    save(folder, "dim.jpg", texture(22) * 0.4)
    save(folder, "bright.jpg", np.clip(texture(23) + 140, 0, 255))
    save(folder, "small.jpg", texture(24, (200, 300)))
    (folder / "damaged.jpg").write_bytes((folder / "good_00.jpg").read_bytes()[:2000])
    report = judge(measure_photos(find_photos(folder)))
    problems = {photo.name: " ".join(photo.problems) for photo in report.photos}
    assert not any(problems[f"good_{i:02}.jpg"] for i in range(14))
    for name, word in (("blurred", "blurred"), ("dark", "too dark"), ("dim", "darker than the others"),
                       ("bright", "too bright"), ("small", "small: 300 x 200"), ("damaged", "not a readable image")):
        assert word in problems[f"{name}.jpg"], problems
    assert report.verdict == "usable"                   # four of twenty are serious
    advice = " ".join(report.advice)
    for word in ("blurred.jpg", "tripod", "damaged.jpg", "more light", "Lock exposure"):
        assert word in advice
    text = as_text(report)
    assert text.startswith("Usable") and "dim.jpg" in text
    report.write(tmp_path / "photos.json")
    assert json.loads((tmp_path / "photos.json").read_text())["verdict"] == "usable"


def test_a_good_set_is_good_and_a_tiny_or_bad_one_is_not(tmp_path):
    good = [measure(save(tmp_path / "a", f"{i}.jpg", texture(i))) for i in range(14)]
    assert judge(good).verdict == "good" and not judge(good).advice
    assert judge(good[:6]).verdict == "usable" and "only 6 photos" in judge(good[:6]).advice[0]
    assert judge(good[:2]).verdict == "poor"
    assert judge(good, registered={"1.jpg", "2.jpg"}).verdict == "poor"
    split = judge(good, registered={f"{i}.jpg" for i in range(7)}, models=(7, 7))
    assert "2 parts" in split.advice[0] and "7, 7 photos" in split.advice[0]


def test_phones_turn_their_photos_by_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x920A], exif.get_ifd(0x8769)[0xA405] = 4.2, 26
    photo = save(tmp_path / "p", "turned.jpg", texture(0, (300, 400)), exif=exif)
    rgb, mask, found = read_upright(photo)
    assert rgb.shape == (400, 300, 3) and mask is None
    assert found.focal_35mm == 26 and found.focal_mm == pytest.approx(4.2, abs=0.01)
    figures = measure(photo)
    assert (figures.width, figures.height) == (300, 400)
    (tmp_path / "m").mkdir()
    Image.fromarray(np.eye(300, 400, dtype=np.uint8) * 255).save(tmp_path / "m" / "turned.png")   # stored unturned
    _, mask, _ = read_upright(PhotoFile("turned.jpg", photo.path, tmp_path / "m" / "turned.png"))
    assert mask.shape == (400, 300) and mask[0, 299] == 255


def test_damaged_exif_is_no_exif(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert read_exif(image).orientation is None


def test_folders_without_photos_say_what_is_there(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(SceneError, match=r"1 \.HEIC"):
        find_photos(tmp_path / "raw")
    with pytest.raises(SceneError, match="no such folder"):
        find_photos(tmp_path / "none")


def cameras(azimuths, elevation=20.0) -> np.ndarray:
    found = []
    for azimuth, height in zip(np.radians(azimuths), np.radians(np.broadcast_to(elevation, len(azimuths)))):
        forward = -np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        found.append(np.column_stack([rotation, rotation @ forward * 3]))
    return np.stack(found)


def test_coverage_finds_the_gap_and_names_its_sides():
    azimuths = np.arange(0, 300, 10.0)
    names = [f"{int(a):03}.jpg" for a in azimuths]
    coverage = measure_coverage(names, cameras(azimuths))
    assert coverage.goes_around and coverage.largest_gap == pytest.approx(70)
    assert coverage.gap_between == ("290.jpg", "000.jpg") and not coverage.is_good
    assert "gap of 70 degrees between 290.jpg and 000.jpg" in coverage.advice()[0]
    assert "same height (20 to 20 degrees)" in coverage.advice()[1]


def test_coverage_of_a_round_of_an_arc_and_of_photos_without_overlap():
    azimuths = np.arange(0, 360, 12.0)
    names = [f"{int(a):03}.jpg" for a in azimuths]
    elevations = np.where(np.arange(30) % 2, 10, 45)
    assert measure_coverage(names, cameras(azimuths, elevations)).advice() == []
    arc = measure_coverage(names[:10], cameras(azimuths[:10]))
    assert not arc.goes_around and arc.azimuth_span == pytest.approx(108) and arc.is_good
    assert "seen over 108 degrees only" in arc.advice()[0]
    shared = np.diag(np.full(30, 400)) + np.where(np.abs(np.subtract.outer(range(30), range(30))) <= 3, 200, 0)
    shared[4] = shared[:, 4] = 10
    shared[4, 4] = 400
    weak = measure_coverage(names, cameras(azimuths, elevations), shared)
    assert weak.weak == ("048.jpg",) and "048.jpg" in weak.advice()[0]


def test_a_scene_with_cameras_is_reported_with_its_coverage():
    report = report_of(SUZANNE, find_photos(SUZANNE)[:6] + find_photos(SUZANNE)[-6:])
    assert report.coverage.goes_around and report.coverage.elevation[1] > 50
    assert all(photo.registered for photo in report.photos)
