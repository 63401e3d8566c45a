# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats in the picture of any render engine: a scene that renders them, and compositor nodes that join by depth.

The second scene holds the same objects, as far as they carry splats, and the same cameras. The nodes stand in front of
whatever the compositor gave out before.
"""

from __future__ import annotations

import bpy

from .surface import SOURCES, followers

ENGINE = "MILO_SPLATS"
LABEL = "MILo Splats"  # of our nodes, by which they are found again
Z_COMBINE, RENDER_LAYERS = "CompositorNodeZcombine", "CompositorNodeRLayers"
GROUPS = bpy.app.version >= (5, 0)  # a scene's compositor is a node group, and always in use
MATH = "ShaderNodeMath" if GROUPS else "CompositorNodeMath"
FORWARD = 0.02  # of their size splats come forward where the render engine cannot hide their mesh from the camera


def splat_scene(scene: bpy.types.Scene) -> bpy.types.Scene | None:
    """The scene that renders the splats for the picture of a scene, or None."""
    return next((other for other in bpy.data.scenes if other.milo_splats.frame_of == scene), None)


def needed(scene: bpy.types.Scene) -> set[bpy.types.Object]:
    """The objects that the scene of the splats must hold."""
    return {*followers(scene), *(obj for obj in scene.objects if obj.type == "CAMERA")}


def camera_at(scene: bpy.types.Scene, frame: int) -> bpy.types.Object | None:
    """The camera that a scene has in a frame, by the markers that cameras are bound to."""
    bound = sorted((marker for marker in scene.timeline_markers if marker.camera), key=lambda marker: marker.frame)
    if not bound:
        return scene.camera
    return next((marker.camera for marker in reversed(bound) if marker.frame <= frame), bound[0].camera)


def set_up(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> bpy.types.Scene:
    """Make the pictures of a scene show its splats, or bring up to date what an earlier call has made."""
    splats = splat_scene(scene)
    if splats is None:
        splats = bpy.data.scenes.new(f"{scene.name} Splats")
        splats.milo_splats.frame_of = scene
        splats.milo_splats.composited = scene.render.use_compositing
        splats.milo_splats.used_nodes = not GROUPS and scene.use_nodes
    splats[SOURCES] = dict(scene.get(SOURCES, {}))
    present, wanted = set(splats.collection.objects), needed(scene)
    for obj in present - wanted:
        splats.collection.objects.unlink(obj)
        _on_camera(obj)
    for obj in wanted - present:
        splats.collection.objects.link(obj)
    for obj in followers(scene):
        if obj.visible_camera:
            obj.visible_camera, obj.milo.off_camera = False, True  # its shadows and reflections stay
    splats.camera = scene.camera
    splats.render.engine, splats.render.film_transparent = ENGINE, True
    splats.render.resolution_x, splats.render.resolution_y = scene.render.resolution_x, scene.render.resolution_y
    splats.frame_start, splats.frame_end = scene.frame_start, scene.frame_end
    splats.view_layers[0].use_pass_z = view_layer.use_pass_z = True
    tree, end = _compositor(scene)
    if not any(node.label == LABEL for node in tree.nodes):
        _add_nodes(tree, end, scene, view_layer, splats)
    for node in tree.nodes:
        if node.label == LABEL and node.bl_idname == MATH:
            node.inputs[1].default_value = _forward(scene)
    return splats


def take_away(scene: bpy.types.Scene) -> None:
    """Undo `set_up`."""
    splats = splat_scene(scene)
    tree, _ = _compositor(scene)
    for node in [node for node in tree.nodes if node.label == LABEL]:
        if node.bl_idname == Z_COMBINE and node.inputs[0].is_linked:
            before = node.inputs[0].links[0].from_socket
            for link in list(node.outputs[0].links):
                tree.links.new(before, link.to_socket)
    for node in [node for node in tree.nodes if node.label == LABEL]:
        tree.nodes.remove(node)
    for obj in splats.collection.objects:
        _on_camera(obj)
    scene.render.use_compositing = splats.milo_splats.composited
    if not GROUPS:
        scene.use_nodes = splats.milo_splats.used_nodes
    bpy.data.scenes.remove(splats)


def _on_camera(obj: bpy.types.Object) -> None:
    """Show an object to cameras again, unless it was the user who hid it from them."""
    if obj.milo.off_camera:
        obj.visible_camera, obj.milo.off_camera = True, False


def _compositor(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.NodeSocket]:
    """The compositor's nodes, and the socket that takes the picture; made where there is none."""
    scene.render.use_compositing = True
    if GROUPS:
        tree = scene.compositing_node_group
        if tree is None:
            tree = scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        kind = "NodeGroupOutput"
    else:
        scene.use_nodes = True
        tree, kind = scene.node_tree, "CompositorNodeComposite"
    end = next((node for node in tree.nodes if node.bl_idname == kind), None) or tree.nodes.new(kind)
    return tree, end.inputs[0]


def _forward(scene: bpy.types.Scene) -> float:
    """How much nearer the splats are taken to be than they are."""
    if scene.render.engine != "BLENDER_WORKBENCH":
        return 0.0
    return FORWARD * max(max(obj.dimensions) for obj in followers(scene))


def _add_nodes(tree: bpy.types.NodeTree, end: bpy.types.NodeSocket, scene: bpy.types.Scene,
               view_layer: bpy.types.ViewLayer, splats: bpy.types.Scene) -> None:
    x, y = end.node.location

    def add(kind: str, left: float, down: float) -> bpy.types.Node:
        node = tree.nodes.new(kind)
        node.label, node.location = LABEL, (x - left, y - down)
        return node

    ours, rest = add(RENDER_LAYERS, 800, 500), add(RENDER_LAYERS, 800, 250)
    ours.scene, ours.layer = splats, splats.view_layers[0].name
    rest.scene, rest.layer = scene, view_layer.name
    nearer, join = add(MATH, 450, 500), add(Z_COMBINE, 250, 250)
    nearer.operation = "SUBTRACT"
    tree.links.new(ours.outputs["Depth"], nearer.inputs[0])
    if "Use Alpha" in join.inputs:  # from 4.5
        join.inputs["Use Alpha"].default_value = True
    else:
        join.use_alpha = True
    picture = end.links[0].from_socket if end.is_linked else rest.outputs["Image"]
    for socket, source in zip(join.inputs, (picture, rest.outputs["Depth"], ours.outputs["Image"],
                                            nearer.outputs[0])):
        tree.links.new(source, socket)
    tree.links.new(join.outputs[0], end)
