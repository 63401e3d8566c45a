# SPDX-License-Identifier: GPL-3.0-or-later
"""The material of a finished asset: a Principled BSDF with packed textures."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import bpy

COLOR, NORMAL, NORMAL_MAP = "MILo Base Color", "MILo Normal", "MILo Normal Map"  # names of its nodes
UV_MAP = "UVMap"
PNG_BEGINS, PNG_ENDS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"


def read_png(file: Path) -> bytes:
    """The bytes of a PNG file. Raises OSError, ValueError: it is not one, or not all of it."""
    png = file.read_bytes()
    if not (png.startswith(PNG_BEGINS) and png.endswith(PNG_ENDS)):
        raise ValueError(f"{file.name} is damaged")
    return png


def packed_image(name: str, png: bytes, colorspace: str, image: bpy.types.Image | None) -> bpy.types.Image:
    """A PNG file as an image that is packed into the .blend; `image` anew where it is given."""
    width, height = struct.unpack(">II", png[16:24])
    if image is None:
        image = bpy.data.images.new(name, width, height)
    image.file_format = "PNG"
    image.pack(data=png, data_len=len(png))
    image.source = "FILE"
    image.filepath_raw = f"//{image.name}.png"  # what exporters call it
    image.colorspace_settings.name = colorspace
    image.buffers_free()  # not reload(), which would look for a file of that name first
    return image


def dress(material: bpy.types.Material, color: bpy.types.Image, normal: bpy.types.Image | None) -> None:
    """Give a material the nodes of the textures, by name; what else the user has put into it stays."""
    tree = material.node_tree
    nodes = tree.nodes
    shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    if shader is None:
        return
    x, y = shader.location
    if COLOR not in nodes:
        tree.links.new(_image_node(nodes, COLOR, (x - 600, y)).outputs["Color"], shader.inputs["Base Color"])
    nodes[COLOR].image = color
    if normal is None:
        for name in (NORMAL, NORMAL_MAP):
            if name in nodes:
                nodes.remove(nodes[name])
        return
    if NORMAL not in nodes or NORMAL_MAP not in nodes:
        picture = nodes.get(NORMAL) or _image_node(nodes, NORMAL, (x - 600, y - 300))
        bump = nodes.get(NORMAL_MAP) or nodes.new("ShaderNodeNormalMap")
        bump.name, bump.location, bump.uv_map = NORMAL_MAP, (x - 250, y - 300), UV_MAP
        tree.links.new(picture.outputs["Color"], bump.inputs["Color"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    nodes[NORMAL].image = normal


def pictures_of(materials: Iterable[bpy.types.Material]) -> set[bpy.types.Image]:
    """The images that materials show."""
    return {node.image for material in materials if material.node_tree for node in material.node_tree.nodes
            if node.type == "TEX_IMAGE" and node.image is not None}


def new_material(name: str) -> bpy.types.Material:
    """A matt Principled BSDF."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.9
    return material


def _image_node(nodes: bpy.types.Nodes, name: str, location: tuple[float, float]) -> bpy.types.Node:
    node = nodes.new("ShaderNodeTexImage")
    node.name, node.location = name, location
    return node
