# SPDX-License-Identifier: Apache-2.0
"""Photos as COLMAP can read them: upright, JPEG or PNG, with masks of where to look for features."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from PIL import ExifTags, Image, ImageFilter

from milo.backend.data.photo_files import PhotoFile, open_photo, read_exif, read_upright_mask, upright

from .child import Stopped
from .options import AlignOptions
from .work_folder import WorkFolder

MARGIN = 0.02    # of the longer side by which the place for features is wider than the mask: outlines are features too


def prepare(photos: list[PhotoFile], folder: WorkFolder, options: AlignOptions, one_camera: bool | None,
            should_stop: Callable[[], bool]) -> list[str]:
    """Lay out the photos in the work folder; what an earlier attempt with the same photos left there stays.

    Args:
        one_camera: all photos come from one camera; None to decide by their sizes and EXIF data.

    Returns:
        the names there, in the order of `photos`.
    """
    names = distinct([name_for(photo) for photo in photos])
    stamps = [[photo.path.stat().st_size, photo.path.stat().st_mtime_ns] for photo in photos]
    if one_camera is None:
        one_camera = is_one_camera(photos)
    plan = {"names": names, "stamps": stamps, "one_camera": one_camera, "options": asdict(options),
            "masks": [photo.mask is not None for photo in photos]}
    if folder.has_plan(plan):
        return names
    for path in (folder.images, folder.masks, folder.feature_masks, folder.models, folder.scene):
        shutil.rmtree(path, ignore_errors=True)
    for path in (folder.database, folder.path / "models.json"):
        path.unlink(missing_ok=True)

    def one(pair):
        if not should_stop():
            lay_out(*pair, folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, zip(photos, names)))
    if should_stop():
        raise Stopped
    folder.write_plan(plan)
    return names


def name_for(photo: PhotoFile) -> str:
    """The photo's name in the scene: COLMAP reads JPEG and PNG surely, so others become JPEG; no spaces."""
    name = photo.name.replace(" ", "_")
    return name if photo.path.suffix.lower() in (".jpg", ".jpeg", ".png") else f"{name}.jpg"


def distinct(names: list[str]) -> list[str]:
    """The names, with a number added where two would be the same file, on disks that do not tell cases apart too."""
    taken: set[str] = set()
    result = []
    for name in names:
        path, unique, number = Path(name), name, 2
        while unique.lower() in taken:
            unique, number = path.with_name(f"{path.stem}_{number}{path.suffix}").as_posix(), number + 1
        taken.add(unique.lower())
        result.append(unique)
    return result


def is_one_camera(photos: list[PhotoFile]) -> bool:
    """Whether all photos have one size, and one camera and focal length as far as EXIF data say."""
    kinds = set()
    for photo in photos:
        with Image.open(photo.path) as image:
            exif = read_exif(image)
            turned = exif.orientation in (5, 6, 7, 8)
            kinds.add((image.size[::-1] if turned else image.size, exif.camera, exif.focal_mm, exif.focal_35mm))
    return len(kinds) == 1


def lay_out(photo: PhotoFile, name: str, folder: WorkFolder) -> None:
    """One photo and its mask."""
    target = folder.images / name
    target.parent.mkdir(parents=True, exist_ok=True)
    image = open_photo(photo.path)
    exif = read_exif(image)
    plain = image.mode in ("RGB", "L") and image.format == ("PNG" if name.lower().endswith(".png") else "JPEG")
    mask = None
    if photo.mask is not None:
        size = image.size[::-1] if exif.orientation in (5, 6, 7, 8) else image.size
        mask = Image.fromarray(read_upright_mask(photo.mask, exif.orientation, size))
    if plain and exif.orientation in (None, 1):
        link(photo.path, target)
    else:
        image = upright(image)
        if mask is None and "A" in image.getbands() and image.getchannel("A").getextrema()[0] < 255:
            mask = image.getchannel("A")
        kept = image.getexif()
        kept[ExifTags.Base.Orientation] = 1
        quality = {"quality": 97, "subsampling": 0} if target.suffix.lower() != ".png" else {}
        image.convert("RGB").save(target, exif=kept, **quality)
    if mask is not None:
        place = folder.masks / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        mask.save(place)
        place = folder.feature_masks / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        widened(mask).save(place)


def widened(mask: Image.Image) -> Image.Image:
    """Where features may be: the mask and a margin around it, 255; else 0."""
    small = mask.convert("L").resize((max(1, mask.width // 4), max(1, mask.height // 4)), Image.Resampling.BOX)
    reach = 2 * max(1, round(MARGIN * max(small.size))) + 1
    wide = small.point(lambda value: 255 if value > 31 else 0).filter(ImageFilter.MaxFilter(reach))
    return wide.resize(mask.size, Image.Resampling.NEAREST)


def link(source: Path, target: Path) -> None:
    """The same file at another place, without a copy where the disk can do that."""
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)

