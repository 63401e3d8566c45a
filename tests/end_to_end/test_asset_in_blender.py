# SPDX-License-Identifier: Apache-2.0
"""Blender opens a finished GLB: the mesh stands where it did, in its size, with UVs, texture and normal map."""

import json
import subprocess

import numpy as np
import pytest

from milo.backend.finishing.asset import Asset
from milo.backend.finishing.glb import write_glb
from milo.backend.finishing.obj import write_obj
from milo.backend.finishing.unwrap import unwrap

LOOK = """
import bpy, json, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
path = sys.argv[-1]
(bpy.ops.import_scene.gltf if path.endswith(".glb") else bpy.ops.wm.obj_import)(filepath=path)
thing = next(o for o in bpy.data.objects if o.type == "MESH")
mesh = thing.data
world = [list(thing.matrix_world @ v.co) for v in mesh.vertices]
corners = [[world[loop.vertex_index], list(uv.uv)] for loop, uv in zip(mesh.loops, mesh.uv_layers[0].data)]
tree = thing.material_slots[0].material.node_tree
principled = next(n for n in tree.nodes if n.type == "BSDF_PRINCIPLED")
image = principled.inputs["Base Color"].links[0].from_node.image
bump = principled.inputs["Normal"].links
picture = [[round(255 * c) for c in image.pixels[k * 4:k * 4 + 3]] for k in (0, image.size[0] * image.size[1] - 1)]
print("FOUND " + json.dumps({"faces": len(mesh.polygons), "corners": corners, "size": list(image.size),
      "first_last": picture, "normal": bool(bump), "packed": image.packed_file is not None}))
"""


@pytest.fixture(scope="module")
def box():
    """A box of 1 x 2 x 3 metres that stands at (5, 6, 7)."""
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], np.float32) + np.float32([5, 6, 7])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))], np.int32)
    color = np.full((64, 64, 3), 128, np.uint8)
    color[0, -1], color[-1, 0] = (255, 0, 0), (0, 0, 255)        # Blender counts rows from below
    return Asset("box", unwrap(corner, faces, 64), color, np.full((64, 64, 3), (128, 128, 255), np.uint8))


@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_blender_opens_an_asset(bpy_python, box, tmp_path, suffix):
    path = tmp_path / f"box.{suffix}"
    (write_glb if suffix == "glb" else write_obj)(path, box)
    done = subprocess.run([str(bpy_python), "-c", LOOK, str(path)], capture_output=True, text=True, timeout=300)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line, done.stdout + done.stderr
    found = json.loads(line[6:])
    assert found["faces"] == 12 and found["size"] == [64, 64] and found["normal"]
    assert found["first_last"] == [[0, 0, 255], [255, 0, 0]]
    assert found["packed"] == (suffix == "glb")
    verts, uvs = (np.array([corner[part] for corner in found["corners"]]) for part in (0, 1))
    np.testing.assert_allclose([verts.min(0), verts.max(0)], [[5, 6, 7], [6, 8, 10]], atol=1e-4)
    mesh = box.mesh
    for vert, uv in zip(verts, uvs):       # every corner of Blender's is one of ours, with its place in the texture
        near = np.abs(mesh.verts - vert).max(1) < 1e-4
        assert (np.abs(mesh.uvs[near] - [uv[0], 1 - uv[1]]).max(1) < 1e-4).any()
