# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse points as an object: a Point Cloud where Python can make one (5.2 and later), else the vertices of a mesh.

Either way geometry nodes show them as coloured points, and hide those outside the region of interest. In Edit Mode they
can be selected.
"""

from __future__ import annotations

from itertools import pairwise

import bpy
import numpy as np
from mathutils import Vector

from . import material

NODES = "MILo points"
RADIUS = 0.005  # of a point, of the extent of most of the points
MOST = 5.0, 95.0  # percentiles


def add(name: str, points: np.ndarray, colors: np.ndarray) -> bpy.types.Object:
    """A new object that shows points [P, 3] float32 with colours [P, 3] uint8."""
    if "resize" in bpy.types.PointCloud.bl_rna.functions:
        data = bpy.data.pointclouds.new(name)
        data.resize(len(points))
    else:
        data = bpy.data.meshes.new(name)
        data.vertices.add(len(points))
    if len(points):
        data.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(points, np.float32).ravel())
        data.attributes.new(material.COLOR_ATTRIBUTE, "BYTE_COLOR", "POINT")
        rgba = np.ones((len(points), 4), np.float32)
        rgba[:, :3] = colors.astype(np.float32) / 255.0
        data.attributes[material.COLOR_ATTRIBUTE].data.foreach_set("color_srgb", rgba.ravel())
    data.update_tag()
    obj = bpy.data.objects.new(name, data)
    extent = np.ptp(np.percentile(points, MOST, axis=0), axis=0).max() if len(points) else 1.0
    obj.modifiers.new("Points", "NODES").node_group = point_nodes(obj.type, RADIUS * float(extent))
    return obj


def is_cloud(obj: bpy.types.Object) -> bool:
    return obj.type in ("MESH", "POINTCLOUD")


def count(obj: bpy.types.Object) -> int:
    position = obj.data.attributes.get("position")
    return len(position.data) if position else 0


def read(obj: bpy.types.Object) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Points [P, 3] float32 in object space and their colours [P, 3] uint8; None without any."""
    number = count(obj)
    if not number:
        return None, None
    points, rgba = np.empty(3 * number, np.float32), np.empty(4 * number, np.float32)
    obj.data.attributes["position"].data.foreach_get("vector", points)
    obj.data.attributes[material.COLOR_ATTRIBUTE].data.foreach_get("color_srgb", rgba)
    return points.reshape(-1, 3), np.round(rgba.reshape(-1, 4)[:, :3] * 255).astype(np.uint8)


def selected(obj: bpy.types.Object) -> list[Vector]:
    """The places in the world of the points that are selected in Edit Mode."""
    if obj.type == "MESH":
        obj.update_from_editmode()
        return [obj.matrix_world @ vertex.co for vertex in obj.data.vertices if vertex.select]
    points, _ = read(obj)
    chosen = obj.data.attributes.get(".selection")
    if points is None or chosen is None:
        return []
    mask = np.empty(len(points), bool)
    chosen.data.foreach_get("value", mask)
    return [obj.matrix_world @ Vector(point) for point in points[mask].tolist()]


def hide_outside(obj: bpy.types.Object, box: bpy.types.Object | None) -> None:
    """Show only the points in an Empty cube, wherever it is moved; all of them without one."""
    tree = obj.modifiers["Points"].node_group
    tree.nodes["Crop"].mute = box is None
    tree.nodes["Region"].inputs["Object"].default_value = box
    size = tree.nodes["Size"].outputs[0]
    size.driver_remove("default_value")
    if box is not None:
        driver = size.driver_add("default_value").driver
        driver.type = "SUM"
        target = driver.variables.new().targets[0]
        target.id, target.data_path = box, "empty_display_size"


def point_nodes(kind: str, radius: float) -> bpy.types.NodeTree:
    """Geometry nodes for an object of a kind: points with the vertex-colour material, without those outside a box
    (`hide_outside`)."""
    tree = bpy.data.node_groups.new(NODES, "GeometryNodeTree")
    tree.is_modifier = True
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")

    def node(kind: str, name: str = "", **settings: str) -> bpy.types.Node:
        new = tree.nodes.new(kind)
        new.name, new.location = name or new.name, (200 * len(tree.nodes), 0)
        for key, value in settings.items():
            setattr(new, key, value)
        return new

    chain = [node("NodeGroupInput")]
    if kind == "MESH":
        chain.append(node("GeometryNodeMeshToPoints"))
    size, crop = node("GeometryNodeSetPointRadius"), node("GeometryNodeDeleteGeometry", "Crop")
    look = node("GeometryNodeSetMaterial")
    for first, second in pairwise([*chain, size, crop, look, node("NodeGroupOutput")]):
        tree.links.new(first.outputs[0], second.inputs[0])
    size.inputs["Radius"].default_value = radius
    look.inputs["Material"].default_value = material.point_material()
    crop.mute = True

    region = node("GeometryNodeObjectInfo", "Region", transform_space="RELATIVE")
    inverse, place = node("FunctionNodeInvertMatrix"), node("FunctionNodeTransformPoint")
    half = node("ShaderNodeValue", "Size")
    beyond = node("ShaderNodeVectorMath", operation="ABSOLUTE")
    axes, outside = node("ShaderNodeSeparateXYZ"), node("ShaderNodeMath", operation="GREATER_THAN")
    high, highest = node("ShaderNodeMath", operation="MAXIMUM"), node("ShaderNodeMath", operation="MAXIMUM")
    for source, target in (
        (region.outputs["Transform"], inverse.inputs[0]),
        (node("GeometryNodeInputPosition").outputs[0], place.inputs["Vector"]),
        (inverse.outputs[0], place.inputs["Transform"]),
        (place.outputs[0], beyond.inputs[0]),
        (beyond.outputs[0], axes.inputs[0]),
        (axes.outputs[0], high.inputs[0]),
        (axes.outputs[1], high.inputs[1]),
        (high.outputs[0], highest.inputs[0]),
        (axes.outputs[2], highest.inputs[1]),
        (highest.outputs[0], outside.inputs[0]),
        (half.outputs[0], outside.inputs[1]),
        (outside.outputs[0], crop.inputs["Selection"]),
    ):
        tree.links.new(source, target)
    return tree
