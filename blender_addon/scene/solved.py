# SPDX-License-Identifier: GPL-3.0-or-later
"""Solved cameras as Blender objects: one collection with an Empty, cameras with their photos, and sparse points.

Everything hangs on the Empty: moving, turning and scaling it moves the scene. The points are vertices of a mesh,
because vertices can be selected, and a modifier shows them as a point cloud.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from . import material
from .cameras import FLIP_YZ, frame_size

NODES = "MILo points"
CAMERA_SIZE = 0.15  # of the drawn camera, units
POINT_RADIUS = 0.004
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
    root = bpy.data.objects.new(name, None)
    root.empty_display_type, root.empty_display_size = "ARROWS", 0.5
    collection.objects.link(root)
    set_frame(scene, alignment)
    for camera in alignment.cameras:
        obj = add_camera(scene, camera, folder)
        obj.parent = root
        collection.objects.link(obj)
    points = add_points(f"{name} points", alignment.points, alignment.colors)
    points.parent = root
    collection.objects.link(points)
    scene.milo.solved = collection
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
    for obj in list(collection.objects):
        if obj.milo.solved:
            data = obj.data
            photos = [background.image for background in data.background_images] if obj.type == "CAMERA" else []
            bpy.data.objects.remove(obj)
            bpy.data.batch_remove([block for block in [data] if block is not None and block.users == 0])
            bpy.data.batch_remove([photo for photo in photos if photo is not None and photo.users == 0])
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


def add_points(name: str, points: np.ndarray, colors: np.ndarray) -> bpy.types.Object:
    """A mesh of loose vertices with colours, shown as a point cloud."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(points))
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(points, np.float32).ravel())
    mesh.attributes.new(material.COLOR_ATTRIBUTE, "BYTE_COLOR", "POINT")
    rgba = np.ones((len(points), 4), np.float32)
    rgba[:, :3] = colors.astype(np.float32) / 255.0
    mesh.attributes[material.COLOR_ATTRIBUTE].data.foreach_set("color_srgb", rgba.ravel())
    mesh.update()
    obj = bpy.data.objects.new(name, mesh)
    obj.milo.solved = True
    modifier = obj.modifiers.new("Points", "NODES")
    modifier.node_group = point_nodes()
    return obj


def point_nodes() -> bpy.types.NodeTree:
    """Geometry nodes that turn vertices into points with the vertex-colour material; made once, then reused."""
    tree = bpy.data.node_groups.get(NODES)
    if tree is not None:
        return tree
    tree = bpy.data.node_groups.new(NODES, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeMeshToPoints", "GeometryNodeSetMaterial", "NodeGroupOutput")
    nodes = [tree.nodes.new(kind) for kind in kinds]
    for i, node in enumerate(nodes):
        node.location = (200 * i, 0)
    nodes[1].inputs["Radius"].default_value = POINT_RADIUS
    nodes[2].inputs["Material"].default_value = material.vertex_colour_material()
    for source, target in pairwise(nodes):
        tree.links.new(source.outputs[0], target.inputs[0])
    return tree


def root_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The Empty that solved cameras hang on, or None."""
    points = points_of(scene)
    return points.parent if points is not None else None


def points_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The sparse points of the solved cameras, or None."""
    objects = scene.milo.solved.objects if scene.milo.solved else ()
    return next((obj for obj in objects if obj.type == "MESH" and obj.milo.solved), None)


def sparse_points(scene: bpy.types.Scene) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Sparse points [P, 3] float32 in the world and their colours [P, 3] uint8; None without any."""
    obj = points_of(scene)
    if obj is None or not obj.data.vertices:
        return None, None
    count = len(obj.data.vertices)
    points, rgba = np.empty(3 * count, np.float32), np.empty(4 * count, np.float32)
    obj.data.attributes["position"].data.foreach_get("vector", points)
    obj.data.attributes[material.COLOR_ATTRIBUTE].data.foreach_get("color_srgb", rgba)
    world = np.array(obj.matrix_world)
    points = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    return points.astype(np.float32), np.round(rgba.reshape(-1, 4)[:, :3] * 255).astype(np.uint8)


def measured(context: bpy.types.Context) -> float | None:
    """The distance in the world of the two points that are selected: vertices of the points in Edit Mode, else two
    objects. None if it is not two."""
    points = points_of(context.scene)
    if points is not None and points.mode == "EDIT":
        points.update_from_editmode()
        chosen = [points.matrix_world @ vertex.co for vertex in points.data.vertices if vertex.select]
    else:
        chosen = [obj.matrix_world.translation for obj in context.selected_objects]
    return (chosen[0] - chosen[1]).length if len(chosen) == 2 else None


def scale_by(scene: bpy.types.Scene, factor: float) -> None:
    """Scale the solved scene about its Empty's origin."""
    root = root_of(scene)
    root.scale = root.scale * factor
