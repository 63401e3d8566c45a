# SPDX-License-Identifier: GPL-3.0-or-later
"""Solved cameras as Blender objects: one collection with an Empty, cameras with their photos, and sparse points.

Everything hangs on the Empty: moving, turning and scaling it moves the scene.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from . import cloud
from .cameras import FLIP_YZ, frame_size

CAMERA_SIZE = 0.15  # of the drawn camera, units
SENSOR_MM = 36.0


def build(scene: bpy.types.Scene, name: str, alignment: Any, folder: Path) -> bpy.types.Collection:
    """Bring solved cameras into a scene, in place of those that an earlier alignment brought.

    Args:
        alignment: the protocol's Alignment: cameras, points [P, 3] float32, colors [P, 3] uint8.
        folder: where the files of the alignment lie, images/ and masks/.
    """
    remove(scene)
    collection = bpy.data.collections.new(f"{name} cameras")
    scene.collection.children.link(collection)
    root = bpy.data.objects.new(f"{name} alignment", None)
    root.empty_display_type, root.empty_display_size, root.milo.solved = "ARROWS", 0.5, True
    collection.objects.link(root)
    set_frame(scene, alignment)
    for camera in alignment.cameras:
        obj = add_camera(scene, camera, folder)
        obj.parent = root
        collection.objects.link(obj)
    points = cloud.add(f"{name} points", alignment.points, alignment.colors)
    points.milo.solved, points.parent = True, root
    collection.objects.link(points)
    scene.milo.solved = collection
    scene.milo.aligned_photos = alignment.photos
    scene.milo.aligned_parts = " + ".join(map(str, alignment.models))
    crop_points(scene)
    if scene.camera is None and alignment.cameras:
        scene.camera = next(obj for obj in collection.objects if obj.type == "CAMERA")
    return collection


def remove(scene: bpy.types.Scene) -> None:
    """Remove what an earlier alignment brought; objects that the user added to its collection stay in the scene."""
    remove_collection(scene.milo.solved, scene)
    scene.milo.solved = None


def remove_collection(collection: bpy.types.Collection | None, scene: bpy.types.Scene) -> None:
    """Remove a collection with the cameras, points and photos that the add-on has put there, and nothing else."""
    if collection is None:
        return
    for obj in sorted(collection.objects, key=lambda obj: obj.type == "EMPTY"):  # what others hang on comes last
        if obj.milo.solved and not (obj.type == "EMPTY" and obj.children):
            data = obj.data
            held = [background.image for background in data.background_images] if obj.type == "CAMERA" else []
            held += [modifier.node_group for modifier in obj.modifiers if modifier.type == "NODES"]
            bpy.data.objects.remove(obj)
            bpy.data.batch_remove([data] if data is not None and data.users == 0 else [])
            bpy.data.batch_remove([block for block in held if block is not None and block.users == 0])
        elif not any(other.objects.get(obj.name) for other in obj.users_collection if other != collection):
            scene.collection.objects.link(obj)
    bpy.data.collections.remove(collection)


def set_frame(scene: bpy.types.Scene, alignment: Any) -> None:
    """Give the scene the frame of most photos, so that a look through a camera shows its photo from edge to edge."""
    sizes = [(camera.width, camera.height) for camera in alignment.cameras]
    if sizes:
        render = scene.render
        render.resolution_x, render.resolution_y = max(set(sizes), key=sizes.count)
        render.resolution_percentage = 100
        render.pixel_aspect_x = render.pixel_aspect_y = 1.0


def add_camera(scene: bpy.types.Scene, camera: Any, folder: Path) -> bpy.types.Object:
    """A camera object for a SolvedCamera, with its photo as background image."""
    viewmat, K = np.reshape(camera.viewmat, (4, 4)), np.reshape(camera.K, (3, 3))
    photo = folder / Path(camera.image).relative_to("run")
    obj = camera_object(scene, camera.name, viewmat, K, (camera.width, camera.height), photo)
    if camera.mask:
        obj.milo.mask = str(folder / Path(camera.mask).relative_to("run"))
    return obj


def camera_object(
    scene: bpy.types.Scene, name: str, viewmat: np.ndarray, K: np.ndarray, size: tuple[int, int], photo: Path
) -> bpy.types.Object:
    """A camera object that keeps exactly these matrices, with its photo as background image."""
    data = bpy.data.cameras.new(name)
    obj = bpy.data.objects.new(name, data)
    obj.matrix_local = Matrix(np.linalg.inv(FLIP_YZ @ viewmat).tolist())
    data.display_size = CAMERA_SIZE
    set_intrinsics(data, K, size, frame_size(scene)[:2])
    data.show_background_images = True
    background = data.background_images.new()
    background.image = bpy.data.images.load(str(photo))
    background.frame_method = "FIT"
    background.alpha = 1.0
    obj.milo.solved, obj.milo.photo = True, name
    obj.milo.photo_K, obj.milo.photo_size = K.ravel().tolist(), size
    return obj


def set_intrinsics(
    data: bpy.types.Camera, K: np.ndarray, photo: tuple[int, int], frame: tuple[int, int]
) -> None:
    """Set lens and shift so that a photo that is fitted into the frame lies where the camera saw it.

    K: [3, 3] pixels of the photo; fx and fy are taken to be the same.
    """
    ratio = max(photo[0] / frame[0], photo[1] / frame[1])  # photo pixels per frame pixel
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR_MM
    data.lens = float(K[0, 0]) / ratio * SENSOR_MM / frame[0]
    data.shift_x = (photo[0] / 2 - float(K[0, 2])) / ratio / frame[0]
    data.shift_y = (float(K[1, 2]) - photo[1] / 2) / ratio / frame[0]


def root_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The Empty that solved cameras hang on, or None."""
    points = points_of(scene)
    return points.parent if points is not None else None


def points_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The sparse points of the solved cameras, or None."""
    objects = scene.milo.solved.objects if scene.milo.solved else ()
    return next((obj for obj in objects if cloud.is_cloud(obj) and obj.milo.solved), None)


def sparse_points(scene: bpy.types.Scene) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Sparse points [P, 3] float32 in the world and their colours [P, 3] uint8; None without any."""
    obj = points_of(scene)
    points, colors = cloud.read(obj) if obj is not None else (None, None)
    if points is None:
        return None, None
    world = np.array(obj.matrix_world)
    return (points @ world[:3, :3].T + world[:3, 3]).astype(np.float32), colors


def crop_points(scene: bpy.types.Scene) -> None:
    """Hide the sparse points outside the region, or show all of them, as the scene's settings say."""
    points = points_of(scene)
    if points is not None and "Points" in points.modifiers:
        cloud.hide_outside(points, scene.milo.region if scene.milo.crop_preview else None)


def measured(context: bpy.types.Context) -> float | None:
    """The distance in the world of the two selected points: of the sparse points in Edit Mode, else two objects. None
    if it is not two."""
    points = points_of(context.scene)
    if points is not None and points.mode == "EDIT":
        chosen = cloud.selected(points)
    else:
        chosen = [obj.matrix_world.translation for obj in context.selected_objects]
    return (chosen[0] - chosen[1]).length if len(chosen) == 2 else None


def scale_by(scene: bpy.types.Scene, factor: float) -> None:
    """Scale the solved scene about its Empty's origin."""
    root = root_of(scene)
    root.scale = root.scale * factor
