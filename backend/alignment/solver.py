# SPDX-License-Identifier: Apache-2.0
"""The process in which COLMAP runs: features, matches, models; then undistorted photos.

    python -m milo.backend.alignment.solver solve|undistort FOLDER

A process of its own, because a call into COLMAP cannot be broken off, because a crash there must not take anything
else down, and because pycolmap exports symbols of its own zlib. FOLDER (work_folder.py) is both input and output:
what is there already is not made again. stdout: one JSON object a line, {"stage", "done", "total"}; stderr: COLMAP's
log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib  # noqa: F401 (the system's own, before pycolmap brings another one)
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

from .options import AlignOptions
from .pairs import choose_pairs, in_steps
from .work_folder import WorkFolder

MIN_INLIERS = 15          # of a verified pair
MATCH_ERROR = 4.0         # pixels between a match and its epipolar line, as in verification
JPEG_QUALITY = 95


def tell(stage: str, done: int, total: int) -> None:
    print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)


def solve(folder: WorkFolder) -> None:
    """Features, matches and models of the photos in `folder`."""
    plan = folder.read_plan()
    options, names = AlignOptions(**plan["options"]), plan["names"]
    pycolmap.set_random_seed(options.seed)
    extract(folder, options, names)
    match(folder, options, names)
    map_models(folder, options, len(names))


def extract(folder: WorkFolder, options: AlignOptions, names: list[str]) -> None:
    """SIFT features of all photos into the database, a few photos at a time."""
    reader = pycolmap.ImageReaderOptions(camera_model=options.camera_model)
    if folder.feature_masks.is_dir():
        reader.mask_path = str(folder.feature_masks)
    extraction = pycolmap.FeatureExtractionOptions(max_image_size=options.max_size, use_gpu=False,
                                                   num_threads=options.threads or -1)
    extraction.sift.max_num_features = options.features
    one_camera = folder.read_plan()["one_camera"]
    mode = pycolmap.CameraMode.SINGLE if one_camera else pycolmap.CameraMode.AUTO
    step = max(2, options.threads or os.cpu_count() or 1)
    for start in range(0, len(names), step):
        tell("features", start, len(names))
        pycolmap.extract_features(folder.database, folder.images, image_names=names[start : start + step],
                                  camera_mode=mode, reader_options=reader, extraction_options=extraction,
                                  device=pycolmap.Device.cpu)
        if one_camera and start == 0:     # later photos join the camera of the first ones
            with pycolmap.Database.open(folder.database) as database:
                reader.existing_camera_id = database.read_all_cameras()[0].camera_id
    tell("features", len(names), len(names))


def match(folder: WorkFolder, options: AlignOptions, names: list[str]) -> None:
    """Match and verify the chosen pairs; pairs that are in the database already cost nothing."""
    steps = in_steps(choose_pairs(len(names), options))
    matching = pycolmap.FeatureMatchingOptions(use_gpu=False, num_threads=options.threads or -1)
    verification = pycolmap.TwoViewGeometryOptions(min_num_inliers=MIN_INLIERS)
    verification.ransac.random_seed = options.seed
    listing = folder.path / "pairs.txt"
    done, total = 0, sum(map(len, steps))
    for pairs in steps:
        tell("matching", done, total)
        listing.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in pairs), encoding="utf-8")
        pairing = pycolmap.ImportedPairingOptions(match_list_path=str(listing))
        pycolmap.match_image_pairs(folder.database, matching_options=matching, pairing_options=pairing,
                                   verification_options=verification, device=pycolmap.Device.cpu)
        done += len(pairs)
    tell("matching", total, total)


def map_models(folder: WorkFolder, options: AlignOptions, count: int) -> None:
    """Incremental mapping: one model, or several where the photos fall apart; each into models/N, and what they say
    of themselves into models.json."""
    mapping = pycolmap.IncrementalPipelineOptions(
        random_seed=options.seed, num_threads=options.threads or -1, ba_global_function_tolerance=1e-6,
        min_model_size=min(10, max(3, count // 4)), max_num_models=10, extract_colors=True)
    registered = 0

    def one_more():
        nonlocal registered
        registered += 1
        tell("mapping", min(registered, count), count)

    def first_pair():     # of a new attempt or model
        nonlocal registered
        registered = 2
        tell("mapping", 2, count)

    folder.models.mkdir(exist_ok=True)
    tell("mapping", 0, count)
    found = pycolmap.incremental_mapping(folder.database, folder.images, folder.models, mapping,
                                         initial_image_pair_callback=first_pair, next_image_callback=one_more)
    with pycolmap.Database.open(folder.database) as database:
        for number, model in found.items():
            np.savez(folder.model_arrays(number), **describe(model, database))
    folder.write_solution({"models": sorted(found)})


def describe(model: pycolmap.Reconstruction, database: pycolmap.Database) -> dict[str, np.ndarray]:
    """A model as arrays (models.py says which)."""
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    row = {image.image_id: i for i, image in enumerate(images)}
    points = list(model.points3D.values())
    seen = {(row[element.image_id], i) for i, point in enumerate(points) for element in point.track.elements}
    return {
        "names": np.array([image.name for image in images]),
        "viewmats": np.stack([image.cam_from_world().matrix() for image in images]),
        "points": np.array([point.xyz for point in points]).reshape(-1, 3),
        "errors": np.array([point.error for point in points]),
        "seen": np.array(sorted(seen), np.int32).reshape(-1, 2),
        "pairs": np.array(agreement(model, database, row), np.int32).reshape(-1, 4),
    }


def agreement(model, database, row: dict[int, int]) -> list[tuple[int, int, int, int]]:
    """(photo a, photo b, verified matches, those of them that the model's cameras agree with) of each verified pair.

    A match agrees when it lies within MATCH_ERROR pixels of the epipolar line that the model's two cameras give.
    """
    rays = {}
    for id in row:
        image = model.images[id]
        camera = model.cameras[image.camera_id]
        keypoints = database.read_keypoints(id)[:, :2].astype(np.float64)
        if len(keypoints):
            rays[id] = np.column_stack([camera.cam_from_img(keypoints), np.ones(len(keypoints))])
    found = []
    for pair, geometry in zip(*database.read_two_view_geometries()):
        first, second = pycolmap.pair_id_to_image_pair(pair)
        matches = geometry.inlier_matches
        if first not in row or second not in row or len(matches) < MIN_INLIERS:
            continue
        relative = model.images[second].cam_from_world() * model.images[first].cam_from_world().inverse()
        x, y, z = relative.translation / max(np.linalg.norm(relative.translation), 1e-12)
        essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative.rotation.matrix()
        one, two = rays[first][matches[:, 0]], rays[second][matches[:, 1]]
        line, back = one @ essential.T, two @ essential
        distance = np.abs((two * line).sum(1)) / np.sqrt((line[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1) + 1e-18)
        focal = model.cameras[model.images[first].camera_id].mean_focal_length()
        found.append((row[first], row[second], len(matches), int((distance * focal < MATCH_ERROR).sum())))
    return found


# ---- undistortion ----------------------------------------------------------------------------------------------------


def undistort(folder: WorkFolder) -> None:
    """Write the chosen model as a scene: pinhole cameras in the chosen frame, and its photos and masks."""
    plan = folder.read_undistortion()
    model, photos = pycolmap.Reconstruction(plan["model"]), plan["photos"]
    for image in list(model.images.values()):
        if image.has_pose and image.name not in photos:
            model.deregister_frame(image.frame_id)
    keep_best_points(model, plan["max_points"])
    model.transform(pycolmap.Sim3d(np.array(plan["similarity"])))
    options = pycolmap.UndistortCameraOptions()
    cameras = {id: camera if camera.is_undistorted() else pycolmap.undistort_camera(options, camera)
               for id, camera in model.cameras.items()}
    for id, camera in cameras.items():
        camera.camera_id = id
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    for done, image in enumerate(images):
        tell("undistortion", done, len(images))
        camera = model.cameras[image.camera_id]
        photo, mask = photos[image.name]
        undistort_photo(Path(photo), folder.scene / "images" / image.name, camera, options)
        if mask:
            undistort_photo(Path(mask), (folder.scene / "masks" / image.name).with_suffix(".png"), camera, options)
    scene = pinhole_model(model, images, cameras)
    target = folder.scene / "sparse" / "0"
    target.mkdir(parents=True, exist_ok=True)
    scene.write_binary(target)
    for newer in ("rigs.bin", "frames.bin"):     # of trivial rigs: other programs do not know them, and none is needed
        (target / newer).unlink(missing_ok=True)
    points = list(scene.points3D.values())
    np.savez(folder.solution, names=np.array([image.name for image in images]),
             viewmats=np.stack([image.cam_from_world().matrix() for image in images]),
             Ks=np.stack([cameras[image.camera_id].calibration_matrix() for image in images]),
             sizes=np.array([(cameras[image.camera_id].width, cameras[image.camera_id].height) for image in images]),
             points=np.array([point.xyz for point in points]).reshape(-1, 3),
             colors=np.array([point.color for point in points], np.uint8).reshape(-1, 3))
    tell("undistortion", len(images), len(images))


def undistort_photo(source: Path, target: Path, camera: pycolmap.Camera, options) -> None:
    """One photo or mask as its pinhole camera would have seen it; a photo of a pinhole camera is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if camera.is_undistorted():
        shutil.copyfile(source, target)
        return
    picture = Image.open(source)
    pixels = np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))
    bitmap, _ = pycolmap.undistort_image(options, pycolmap.Bitmap.from_array(pixels), camera)
    result = Image.fromarray(bitmap.to_array().squeeze())
    if target.suffix.lower() in (".jpg", ".jpeg"):
        result.save(target, quality=JPEG_QUALITY, subsampling=0)
    else:
        result.save(target)


def keep_best_points(model: pycolmap.Reconstruction, most: int) -> None:
    """Delete all but the `most` points that most photos see; 0 keeps all."""
    if 0 < most < model.num_points3D():
        ranked = sorted(model.points3D.items(), key=lambda item: (-item[1].track.length(), item[1].error))
        for id, _ in ranked[most:]:
            model.delete_point3D(id)


def pinhole_model(model, images, cameras) -> pycolmap.Reconstruction:
    """The model with pinhole cameras, its registered images and its points; 2D points are undistorted too."""
    result = pycolmap.Reconstruction()
    for id in sorted({image.camera_id for image in images}):
        result.add_camera_with_trivial_rig(cameras[id])
    for image in images:
        before, after = model.cameras[image.camera_id], cameras[image.camera_id]
        observed = [point for point in image.points2D if point.has_point3D()]
        xy = np.array([point.xy for point in observed]).reshape(-1, 2)
        if len(xy):
            xy = after.img_from_cam(np.column_stack([before.cam_from_img(xy), np.ones(len(xy))]))
        copy = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
        copy.points2D = pycolmap.Point2DList([pycolmap.Point2D(at) for at in xy])
        result.add_image_with_trivial_frame(copy, image.cam_from_world())
    rows = {image.image_id: {point2D: row for row, point2D in enumerate(image.get_observation_point2D_idxs())}
            for image in images}
    for point in model.points3D.values():
        track = pycolmap.Track()
        for element in point.track.elements:
            if element.image_id in rows:
                track.add_element(element.image_id, rows[element.image_id][element.point2D_idx])
        if track.length() >= 2:
            result.add_point3D(point.xyz, track, point.color)
    return result


def main() -> int:
    command, path = sys.argv[1:]
    {"solve": solve, "undistort": undistort}[command](WorkFolder(Path(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
