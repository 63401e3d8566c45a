# SPDX-License-Identifier: Apache-2.0
"""The triangle rasteriser. Faces that name no vertex and pixels that name no face count as empty: nothing waits."""

from __future__ import annotations

import torch

from .runtime import blocks, load

_BLOCK = 128
_PAIR_BLOCKS = 512       # of kernels that walk a list whose length stands on the GPU
_QUEUE_BLOCKS = 1024


def visibility(verts, faces, viewmat, K, near, far, face_id):
    kernels = load("triangle_visibility.cu", verts.device, verts.dtype)
    ints = {"dtype": torch.int32, "device": verts.device}
    height, width = face_id.shape
    mesh = _mesh(verts, faces, viewmat, K)
    pixels = face_id.numel()
    words = torch.full((pixels,), -1, dtype=torch.int64, device=verts.device)
    if len(faces):
        screen = torch.empty(len(verts), 4, **ints)
        queue, counts = torch.empty(len(faces), **ints), torch.zeros(2, **ints)
        target = screen, near, far, height, width, words, queue, counts
        kernels.launch("project_vertices", blocks(len(verts), _BLOCK), _BLOCK, *mesh, near, screen)
        kernels.launch("draw_small", blocks(len(faces), _BLOCK), _BLOCK, *mesh, *target)
        kernels.launch("draw_queued", _QUEUE_BLOCKS, _BLOCK, *mesh, *target)
    kernels.launch("read_faces", blocks(pixels, 256), 256, words, pixels, face_id)


def face_depth(*mesh_and_image):
    _shade("face_depth", *mesh_and_image)


def face_depth_backward(*mesh_and_image):
    _shade("face_depth_backward", *mesh_and_image)


def face_normals(*mesh_and_image):
    _shade("face_normals", *mesh_and_image)


def face_normals_backward(*mesh_and_image):
    _shade("face_normals_backward", *mesh_and_image)


def interpolate(attributes, verts, faces, face_id, viewmat, K, out):
    _shade("interpolate", verts, faces, face_id, viewmat, K, attributes, attributes.shape[1], out)


def interpolate_backward(attributes, verts, faces, face_id, viewmat, K, g, g_attributes, g_verts):
    _shade(
        "interpolate_backward", verts, faces, face_id, viewmat, K, attributes, attributes.shape[1], g, g_attributes,
        g_verts,
    )  # fmt: skip


def silhouette_pairs(verts, faces, face_id, viewmat, K):
    """way, edge, s, table, sides, count: see triangle_antialias.cu; with room for all pairs of the image."""
    kernels = load("triangle_antialias.cu", verts.device, verts.dtype)
    ints = {"dtype": torch.int32, "device": verts.device}
    height, width = face_id.shape
    room = 2 * face_id.numel()
    size = 1 << room.bit_length()
    mesh = _mesh(verts, faces, viewmat, K)
    pairs = (
        torch.empty(room, **ints), torch.empty(room, **ints), verts.new_empty(room),
        torch.full((size,), -1, dtype=torch.int64, device=verts.device), torch.empty(size, **ints),
        torch.zeros(1, **ints),
    )  # fmt: skip
    if len(faces):
        lows, highs = torch.zeros(2, blocks(len(verts), 32), **ints)
        depth = torch.empty(face_id.shape, dtype=torch.float64, device=verts.device)
        grid = blocks(face_id.numel(), _BLOCK)
        kernels.launch("pixel_depths", grid, _BLOCK, *mesh, face_id, height, width, depth)
        kernels.launch(
            "find_pairs", grid, _BLOCK, *mesh, face_id, height, width, depth, *_pairs(pairs), lows, highs
        )
        kernels.launch(
            "look_beyond", blocks(len(faces), _BLOCK), _BLOCK, *mesh, lows, highs, *_pairs(pairs)[3:6]
        )
    return pairs


def _pairs(pairs):
    """As the kernels take them."""
    way, edge, s, table, sides, count = pairs
    return way, edge, s, table, sides, len(table), count


def antialias(*pairs_and_images):
    *pairs, image, out = pairs_and_images
    out.copy_(image)
    channels, height, width = image.shape
    load("triangle_antialias.cu", image.device, image.dtype).launch(
        "antialias", _PAIR_BLOCKS, _BLOCK, *_pairs(pairs), height, width, channels, image, out
    )


def antialias_backward(verts, faces, viewmat, K, *pairs_and_images):
    *pairs, image, g, g_image, g_verts = pairs_and_images
    if g_image is not None:
        g_image.copy_(g)
    channels, height, width = image.shape
    load("triangle_antialias.cu", image.device, image.dtype).launch(
        "antialias_backward", _PAIR_BLOCKS, _BLOCK, *_mesh(verts, faces, viewmat, K), *_pairs(pairs), height, width,
        channels, image, g, g_image, g_verts,
    )  # fmt: skip


def _mesh(verts, faces, viewmat, K):
    return verts, faces, len(verts), len(faces), viewmat, K


def _shade(kernel, verts, faces, face_id, viewmat, K, *rest):
    load("triangle_shading.cu", verts.device, verts.dtype).launch(
        kernel, blocks(face_id.numel(), _BLOCK), _BLOCK, *_mesh(verts, faces, viewmat, K), face_id, *face_id.shape,
        *rest,
    )  # fmt: skip
