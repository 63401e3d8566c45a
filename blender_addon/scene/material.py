# SPDX-License-Identifier: GPL-3.0-or-later
"""The material a reconstructed mesh starts with: its vertex colours on a matt surface."""

from __future__ import annotations

import bpy

NAME = "MILo vertex colours"
COLOR_ATTRIBUTE = "Color"


def vertex_colour_material() -> bpy.types.Material:
    """The shared vertex-colour material; made when it is not there yet, otherwise left as the user has it."""
    material = bpy.data.materials.get(NAME)
    if material is None:
        material = bpy.data.materials.new(NAME)
        material.use_nodes = True
        tree = material.node_tree
        shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
        shader.inputs["Roughness"].default_value = 0.9
        colour = tree.nodes.new("ShaderNodeVertexColor")
        colour.layer_name = COLOR_ATTRIBUTE
        colour.location = (shader.location.x - 220, shader.location.y)
        tree.links.new(colour.outputs["Color"], shader.inputs["Base Color"])
    return material


def assign_once(obj: bpy.types.Object) -> None:
    """Give a new object the material. Objects that had it once are left alone: what is there is the user's choice."""
    if obj.milo.has_material:
        return
    obj.milo.has_material = True
    if not obj.data.materials:
        obj.data.materials.append(vertex_colour_material())
