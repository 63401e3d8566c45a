# SPDX-License-Identifier: Apache-2.0
"""The finished asset as files that Blender opens again. No backend is needed for it."""

import bpy
import numpy as np
import pytest


@pytest.fixture
def box(milo, tmp_path):
    """Two levels of an asset: a box of 1 x 2 x 3 m beside a lamp, moved by the user; red above, blue below."""
    png = {}
    for name, side in (("color", 64), ("normal", 32)):
        image = bpy.data.images.new(name, side, side)
        pixels = np.ones((side, side, 4), np.float32)
        pixels[..., :3] = (0.5, 0.5, 1.0) if name == "normal" else (1, 0, 0)
        if name == "color":
            pixels[: side // 2, :, :3] = (0, 0, 1)
        image.pixels.foreach_set(pixels.ravel())
        image.filepath_raw, image.file_format = str(tmp_path / f"{name}.png"), "PNG"
        image.save()
        png[name] = (tmp_path / f"{name}.png").read_bytes()
        bpy.data.images.remove(image)
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))], np.int32)
    uvs = np.stack([corner[faces.ravel(), 0], corner[faces.ravel(), 2] / 3], 1) * 0.9 + 0.05
    mesh = milo("protocol.assets").AssetMesh(
        corner, np.tile(np.float32([0, 0, 1]), (8, 1)), faces, uvs.astype(np.float32),
        np.where(corner[:, 2:] > 1, np.uint8([[255, 0, 0]]), np.uint8([[0, 0, 255]])), np.eye(4, dtype=np.float32))
    module, scene = milo("scene.asset"), bpy.context.scene
    scene.milo.job = "job-1"
    for level in (0, 1):
        obj = module.build(scene, "job-1", "my böx", module.Level(level, mesh, png["color"], png["normal"]))
        obj.location = (5, 6, 7)
    module.show_only_finest(scene, "job-1")
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    scene.collection.objects.link(lamp)
    return scene.objects["my böx LOD0"]


def opened(path):
    """An empty file with what is in another one; its mesh objects."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    {".glb": bpy.ops.import_scene.gltf, ".obj": bpy.ops.wm.obj_import, ".ply": bpy.ops.wm.ply_import}.get(
        path.suffix, bpy.ops.wm.usd_import)(filepath=str(path))
    bpy.context.view_layer.update()
    return [obj for obj in bpy.data.objects if obj.type == "MESH"]


def bounds(obj):
    corners = np.array([list(obj.matrix_world @ vertex.co) for vertex in obj.data.vertices])
    return corners.min(0), corners.max(0)


@pytest.mark.parametrize("kind, name", [("GLB", "a.glb"), ("USD", "a.usdz"), ("USD", "a.usdc"), ("OBJ", "a.obj")])
def test_texture_and_size_come_back(box, tmp_path, kind, name):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    hidden = bpy.data.objects["my böx LOD1"]
    assert bpy.ops.milo.export_asset(filepath=str(path), format=kind) == {"FINISHED"}
    assert hidden.hide_get() and not box.select_get()
    (obj,) = opened(path)
    assert not [obj for obj in bpy.data.objects if obj.type == "LIGHT"]
    np.testing.assert_allclose(bounds(obj), [[5, 6, 7], [6, 8, 10]], atol=1e-4)
    tree = obj.active_material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    image = shader.inputs["Base Color"].links[0].from_node.image
    assert tuple(image.size) == (64, 64) and shader.inputs["Normal"].links
    pixels = np.array(image.pixels).reshape(64, 64, 4)
    assert np.allclose(pixels[0, 0, :3], (0, 0, 1)) and np.allclose(pixels[-1, 0, :3], (1, 0, 0))
    heights = {}
    for corner, uv in zip(obj.data.loops, obj.data.uv_layers[0].data):       # red above, blue below
        heights.setdefault(round((obj.matrix_world @ obj.data.vertices[corner.vertex_index].co).z), uv.uv[1])
    assert heights[7] < 0.2 and heights[10] > 0.8


def test_vertex_colours_in_ply(box, tmp_path):
    assert bpy.ops.milo.export_asset(filepath=str(tmp_path / "a"), format="PLY") == {"FINISHED"}
    (obj,) = opened(tmp_path / "a.ply")
    np.testing.assert_allclose(bounds(obj), [[5, 6, 7], [6, 8, 10]], atol=1e-4)
    colors = np.array([list(item.color) for item in obj.data.color_attributes[0].data])
    high = np.array([vertex.co.z > 8 for vertex in obj.data.vertices])
    assert (colors[high, 0] > 0.9).all() and (colors[~high, 2] > 0.9).all()


def test_all_levels_with_the_rig(box, tmp_path):
    rig = bpy.data.objects.new("rig", bpy.data.armatures.new("rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig.data.edit_bones.new("spine")
    bone.head, bone.tail = (5, 6, 7), (5, 6, 9)
    assert not bpy.ops.milo.export_asset.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    box.vertex_groups.new(name="spine").add(range(8), 1.0, "REPLACE")
    box.modifiers.new("Armature", "ARMATURE").object = rig
    box.parent = rig
    path = tmp_path / "rigged.glb"
    assert bpy.ops.milo.export_asset(filepath=str(path), format="GLB", levels=True) == {"FINISHED"}
    assert len([obj for obj in opened(path) if obj.active_material]) == 2
    armature = next(obj for obj in bpy.data.objects if obj.type == "ARMATURE")
    assert "spine" in armature.data.bones
    assert any(modifier.object == armature for obj in bpy.data.objects for modifier in obj.modifiers)


def test_without_an_asset(milo):
    assert not bpy.ops.milo.export_asset.poll()
