# SPDX-License-Identifier: Apache-2.0
"""The triangle rasteriser. Faces that name no vertex and pixels that name no face count as empty: nothing waits."""

from __future__ import annotations

import torch

from .runtime import blocks, load

_BLOCK = 128
_PAIR_BLOCKS = 512       # of kernels that walk a list whose length stands on the GPU
_QUEUE_BLOCKS = 1024


def visibility(verts, faces, viewmat, K, near, far, face_id):
    words = torch.full((face_id.numel(),), -1, dtype=torch.int64, device=verts.device)
    _draw(_mesh(verts, faces, viewmat, K), near, far, words, face_id.new_zeros(2), face_id)


def _draw(mesh, near, far, words, counts, face_id):
    """words [H W] int64 start at -1, counts [2] int32 at 0."""
    verts, faces = mesh[:2]
    kernels = load("triangle_visibility.cu", verts.device, verts.dtype)
    height, width = face_id.shape
    pixels = face_id.numel()
    if len(faces):
        screen, queue = counts.new_empty(len(verts), 4), counts.new_empty(len(faces))
        target = screen, near, far, height, width, words, queue, counts
        kernels.launch("project_vertices", blocks(len(verts), _BLOCK), _BLOCK, *mesh, near, screen)
        kernels.launch("draw_small", blocks(len(faces), _BLOCK), _BLOCK, *mesh, *target)
        kernels.launch("draw_queued", _QUEUE_BLOCKS, _BLOCK, *mesh, *target)
    kernels.launch("read_faces", blocks(pixels, 256), 256, words, pixels, face_id)


def mesh_maps(verts, faces, viewmat, K, near, far, antialiased, face_id, sharp, depth, normal):
    """Visibility, depth, normals and antialiased depth; returns what `mesh_maps_backward` wants as pairs."""
    mesh, pixels, grid = _mesh(verts, faces, viewmat, K), face_id.numel(), blocks(face_id.numel(), _BLOCK)
    room = 2 * pixels if antialiased else 0
    size, bits = 1 << room.bit_length() if antialiased else 0, blocks(len(verts), 32)
    # Everything that starts at -1, and everything that starts at 0, in one go each.
    words = torch.full((pixels + size,), -1, dtype=torch.int64, device=verts.device)
    zeros = torch.zeros(3 + 2 * bits, dtype=torch.int32, device=verts.device)
    _draw(mesh, near, far, words[:pixels], zeros[:2], face_id)
    image = face_id, *face_id.shape
    exact, seen = _room_for_seen(face_id) if antialiased else (None, None)
    load("triangle_shading.cu", verts.device, verts.dtype).launch(
        "face_maps", grid, _BLOCK, *mesh, *image, sharp, depth if antialiased else None, exact, seen, normal
    )
    if not antialiased:
        return ()
    pairs = (
        face_id.new_empty(room), face_id.new_empty(room), verts.new_empty(room), words[pixels:],
        face_id.new_empty(size), zeros[2:3],
    )  # fmt: skip
    if len(faces):
        _find_pairs(mesh, image, (exact, seen), pairs, zeros[3 : 3 + bits], zeros[3 + bits :])
        load("triangle_antialias.cu", verts.device, verts.dtype).launch(
            "antialias", _PAIR_BLOCKS, _BLOCK, *_pairs(pairs), *face_id.shape, 1, sharp, depth
        )
    return pairs


def mesh_maps_backward(verts, faces, face_id, viewmat, K, pairs, sharp, g_depth, g_normal, g_verts):
    mesh = _mesh(verts, faces, viewmat, K)
    if pairs and len(faces):
        g_sharp = g_depth.clone()
        load("triangle_antialias.cu", verts.device, verts.dtype).launch(
            "antialias_backward", _PAIR_BLOCKS, _BLOCK, *mesh, *_pairs(pairs), *face_id.shape, 1, sharp, g_depth,
            g_sharp, g_verts,
        )  # fmt: skip
        g_depth = g_sharp
    load("triangle_shading.cu", verts.device, verts.dtype).launch(
        "face_maps_backward", blocks(face_id.numel(), _BLOCK), _BLOCK, *mesh, face_id, *face_id.shape, g_depth,
        g_normal, g_verts,
    )  # fmt: skip


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
        shown, image = _room_for_seen(face_id), (face_id, height, width)
        kernels.launch("pixel_depths", blocks(face_id.numel(), _BLOCK), _BLOCK, *mesh, *image, *shown)
        _find_pairs(mesh, image, shown, pairs, lows, highs)
    return pairs


def _room_for_seen(face_id):
    """For the depth of each pixel, and the corners of its face."""
    return face_id.new_empty(face_id.shape, dtype=torch.float64), face_id.new_empty(*face_id.shape, 4)


def _find_pairs(mesh, image, shown, pairs, lows, highs):
    """shown: as of `_room_for_seen`, filled; lows, highs: sets of vertices, one bit each, that start empty."""
    verts, faces = mesh[:2]
    kernels = load("triangle_antialias.cu", verts.device, verts.dtype)
    grid = blocks(image[0].numel(), _BLOCK)
    kernels.launch("find_pairs", grid, _BLOCK, *mesh, *image, *shown, *_pairs(pairs), lows, highs)
    kernels.launch("look_beyond", blocks(len(faces), _BLOCK), _BLOCK, *mesh, lows, highs, *_pairs(pairs)[3:6])


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
