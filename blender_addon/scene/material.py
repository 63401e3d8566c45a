# SPDX-License-Identifier: GPL-3.0-or-later
"""The material a reconstructed mesh starts with: its vertex colours on a matt surface; and that of sparse points."""

from __future__ import annotations

import bpy

NAME, OF_POINTS = "MILo vertex colours", "MILo point colours"
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
        _colour(shader, "Base Color")
    return material


def point_material() -> bpy.types.Material:
    """The shared material of points: their colours whatever the light, as small balls would hardly show them else."""
    material = bpy.data.materials.get(OF_POINTS)
    if material is None:
        material = bpy.data.materials.new(OF_POINTS)
        material.use_nodes = True
        nodes = material.node_tree.nodes
        nodes.clear()
        shader, end = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
        end.location.x = 200
        material.node_tree.links.new(shader.outputs["Emission"], end.inputs["Surface"])
        _colour(shader, "Color")
    return material


def _colour(shader: bpy.types.ShaderNode, name: str) -> None:
    """Give an input of a shader the colour attribute."""
    tree = shader.id_data
    colour = tree.nodes.new("ShaderNodeVertexColor")
    colour.layer_name = COLOR_ATTRIBUTE
    colour.location = (shader.location.x - 220, shader.location.y)
    tree.links.new(colour.outputs["Color"], shader.inputs[name])


def assign_once(obj: bpy.types.Object) -> None:
    """Give a new object the material. Objects that had it once are left alone: what is there is the user's choice."""
    if obj.milo.has_material:
        return
    obj.milo.has_material = True
    if not obj.data.materials:
        obj.data.materials.append(vertex_colour_material())
