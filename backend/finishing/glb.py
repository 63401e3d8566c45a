# SPDX-License-Identifier: Apache-2.0
"""Writes a textured mesh as a binary glTF 2.0 file: one node, one material, pictures inside.

Written here because it is a page: libraries that do it bring a scene graph, or a dataclass for every word of glTF.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np

from .asset import Asset, png

FLOAT, UNSIGNED = 5126, 5125              # component types
VERTICES, INDICES = 34962, 34963          # targets of buffer views
REPEAT, LINEAR, MIPMAPS = 10497, 9729, 9987


def write_glb(path: str | Path, asset: Asset) -> None:
    """Write an asset; its Z axis becomes glTF's Y, and Blender turns it back when it opens the file."""
    parts: list[bytes] = []
    views: list[dict] = []
    accessors: list[dict] = []

    def view(data: bytes, **more) -> int:
        start = sum(map(len, parts))
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(data), **more})
        parts.append(data + b"\0" * (-len(data) % 4))
        return len(views) - 1

    def accessor(values: np.ndarray, kind: str, target: int, **more) -> int:
        component = FLOAT if values.dtype == np.float32 else UNSIGNED
        accessors.append({"bufferView": view(values.tobytes(), target=target), "componentType": component,
                          "count": values.size if kind == "SCALAR" else len(values), "type": kind, **more})
        return len(accessors) - 1

    mesh = asset.mesh
    verts, normals = y_up(mesh.verts), y_up(mesh.normals)
    tangents = np.concatenate([y_up(mesh.tangents[:, :3]), mesh.tangents[:, 3:]], axis=1).astype("<f4")
    attributes = {
        "POSITION": accessor(verts, "VEC3", VERTICES, min=verts.min(0).tolist(), max=verts.max(0).tolist()),
        "NORMAL": accessor(normals, "VEC3", VERTICES),
        "TANGENT": accessor(tangents, "VEC4", VERTICES),
        "TEXCOORD_0": accessor(mesh.uvs.astype("<f4"), "VEC2", VERTICES),
    }
    indices = accessor(mesh.faces.astype("<u4").ravel(), "SCALAR", INDICES)
    pictures = [("color", asset.color)] + ([] if asset.normal is None else [("normal", asset.normal)])
    images = [{"name": f"{asset.name}_{name}", "mimeType": "image/png", "bufferView": view(png(picture))}
              for name, picture in pictures]
    material: dict = {"name": asset.name, "pbrMetallicRoughness": {"baseColorTexture": {"index": 0},
                                                                   "metallicFactor": 0.0, "roughnessFactor": 1.0}}
    if asset.normal is not None:
        material["normalTexture"] = {"index": 1}
    document = {
        "asset": {"version": "2.0", "generator": "MILo for Blender"},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"name": asset.name, "mesh": 0}],
        "meshes": [{"name": asset.name,
                    "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [material],
        "textures": [{"source": number, "sampler": 0} for number in range(len(images))],
        "images": images,
        "samplers": [{"magFilter": LINEAR, "minFilter": MIPMAPS, "wrapS": REPEAT, "wrapT": REPEAT}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": sum(map(len, parts))}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = b"".join(parts)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data))
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(b"".join([head, struct.pack("<I4s", len(text), b"JSON"), text,
                                  struct.pack("<I4s", len(data), b"BIN\0"), data]))
    os.replace(partial, path)


def y_up(vectors: np.ndarray) -> np.ndarray:
    """[V, 3] with Z up -> float32 with Y up, as glTF has it and OBJ usually."""
    return np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1).astype("<f4")
