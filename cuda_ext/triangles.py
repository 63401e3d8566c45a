# SPDX-License-Identifier: Apache-2.0
"""Differentiable triangle rasteriser (spec rasterization.md, 7): what pixels see of a mesh, with gradients to it.

All ops take verts [V, 3] float32 or float64 in world units, faces [F, 3] int32, viewmat [4, 4] (world to camera,
x right, y down, z forward) and K [3, 3] (pixels; the centre of pixel (row r, column c) is (c + 0.5, r + 0.5); no skew).
Cameras get no gradient. Faces have no front or back. On the CPU results are the same to the bit whatever the number of
threads. On a GPU gradients are sums in any order, and indices out of range are no error, but empty: to find one the CPU
would have to wait.

    face_id = visibility(verts, faces, viewmat, K, size)
    depth = face_depth(verts, faces, face_id, viewmat, K)
    normal = face_normals(verts, faces, face_id, viewmat)
    depth = antialias(depth[None], verts, faces, face_id, viewmat, K)[0]

or all of it at once:

    depth, normal, face_id = mesh_maps(verts, faces, viewmat, K, size)
"""

from __future__ import annotations

import math

import torch
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)
_LARGEST_SIDE = 32768   # pixels: edge functions of the coverage test fit 64-bit integers up to here


@torch.no_grad()
def visibility(verts, faces, viewmat, K, size, near=0.01, far=math.inf):
    """The nearest face at each pixel centre.

    Coverage is exact on vertices rounded to 1/4096 pixel: faces that share an edge leave no gap and no overlap. Faces
    that cross the near plane are clipped; of faces at equal depth the lower index wins.

    Args:
        verts, faces, viewmat, K: the mesh and the camera, as above. Vertices that are not finite hide their faces.
        size: (height, width).
        near: z depth > 0 up to which nothing is drawn, world units.
        far: z depth beyond which nothing is drawn, world units.

    Returns:
        face_id [H, W] int32, -1 where no face is. No gradient.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or faces names a vertex that does not exist.
    """
    _check_mesh(verts, faces)
    face_id = _new_face_id(verts, size, near)
    camera = _camera(viewmat, K, verts=verts, faces=faces)
    driver(verts).visibility(
        kernel_ready(verts), kernel_ready(faces), *camera, float(near), float(far), face_id
    )
    return face_id


def face_depth(verts, faces, face_id, viewmat, K):
    """z depth at which the ray of each pixel meets its face.

    Args:
        verts, faces, viewmat, K: the mesh and the camera, as above.
        face_id: [H, W] int32 from `visibility`.

    Returns:
        depth [H, W], world units, 0 where face_id is -1. Differentiable in verts: the derivative of the intersection
        of a ray and a plane. A centre that the exact face misses by rounding takes the face's edge, without gradient.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an index is out of range.
    """
    _check_mesh(verts, faces)
    _check_face_id(face_id)
    camera = _camera(viewmat, K, verts=verts, faces=faces, face_id=face_id)
    return _FaceMap.apply("face_depth", (), verts, faces, face_id, *camera)


def face_normals(verts, faces, face_id, viewmat):
    """Unit normal (v1 - v0) x (v2 - v0) of the face at each pixel, in the camera frame, not flipped.

    Args:
        verts, faces, viewmat: the mesh and the camera, as above.
        face_id: [H, W] int32 from `visibility`.

    Returns:
        normal [3, H, W], 0 where face_id is -1. Differentiable in verts; faces of no area have no gradient.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an index is out of range.
    """
    _check_mesh(verts, faces)
    _check_face_id(face_id)
    # Normals need no lens: any K of the right kind will do.
    camera = _camera(viewmat, viewmat[:3, :3], verts=verts, faces=faces, face_id=face_id)
    return _FaceMap.apply("face_normals", (3,), verts, faces, face_id, *camera)


def interpolate(attributes, verts, faces, face_id, viewmat, K):
    """Vertex attributes at the pixels, perspective-correct.

    Args:
        attributes: [V, C], dtype of verts.
        verts, faces, viewmat, K: the mesh and the camera, as above.
        face_id: [H, W] int32 from `visibility`.

    Returns:
        [C, H, W], 0 where face_id is -1. Differentiable in attributes and verts.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an index is out of range.
    """
    _check_mesh(verts, faces)
    _check_face_id(face_id)
    check_tensor("attributes", attributes, (len(verts), "C"), (verts.dtype,))
    camera = _camera(viewmat, K, verts=verts, faces=faces, face_id=face_id, attributes=attributes)
    return _Interpolate.apply(attributes, verts, faces, face_id, *camera)


def antialias(image, verts, faces, face_id, viewmat, K):
    """Blend pixels across silhouettes by where the edge lies between their centres: so silhouettes have a gradient too.

    Of two neighbouring pixels with different faces, the nearer one's face is left through one of its edges. If that
    edge is a silhouette (no other face of the mesh, seen or hidden, continues it on its far side) and runs across the
    way from centre to centre (upright for horizontal pairs), the pixel that it cuts moves towards the other.

    Args:
        image: [C, H, W], dtype of verts; any picture of the faces, as from `face_depth` (with a first dimension of 1).
        verts, faces, viewmat, K: the mesh and the camera, as above. All faces count, not only those that are seen.
        face_id: [H, W] int32 from `visibility`.

    Returns:
        [C, H, W]. Differentiable in image and, through the place of the edges, in verts.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an index is out of range.
    """
    _check_mesh(verts, faces)
    _check_face_id(face_id)
    check_tensor("image", image, ("C", *face_id.shape), (verts.dtype,))
    camera = _camera(viewmat, K, verts=verts, faces=faces, face_id=face_id, image=image)
    return _Antialias.apply(image, verts, faces, face_id, *camera)


def mesh_maps(verts, faces, viewmat, K, size, near=0.01, far=math.inf, *, antialiased=True):
    """`visibility`, `face_depth`, `face_normals` and the `antialias` of that depth in one op, with few launches.

    Args:
        verts, faces, viewmat, K: the mesh and the camera, as above.
        size, near, far: as in `visibility`.
        antialiased: blend depth at silhouettes.

    Returns:
        depth [H, W], normal [3, H, W], face_id [H, W]. Depth and normal are differentiable in verts.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an index is out of range.
    """
    _check_mesh(verts, faces)
    face_id = _new_face_id(verts, size, near)
    camera = _camera(viewmat, K, verts=verts, faces=faces)
    depth, normal = _MeshMaps.apply(verts, faces, face_id, *camera, float(near), float(far), antialiased)
    return depth, normal, face_id


class _MeshMaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, verts, faces, face_id, viewmat, K, near, far, antialiased):
        verts, faces = kernel_ready(verts), kernel_ready(faces)
        depth, normal = verts.new_empty(face_id.shape), verts.new_empty(3, *face_id.shape)
        sharp = torch.empty_like(depth) if antialiased else depth
        ctx.pairs = driver(verts).mesh_maps(
            verts, faces, viewmat, K, near, far, antialiased, face_id, sharp, depth, normal
        )
        ctx.save_for_backward(verts, faces, face_id, viewmat, K, sharp)
        return depth, normal

    @staticmethod
    @once_differentiable
    def backward(ctx, g_depth, g_normal):
        verts, faces, face_id, viewmat, K, sharp = ctx.saved_tensors
        g_verts = torch.zeros_like(verts)
        driver(verts).mesh_maps_backward(
            verts, faces, face_id, viewmat, K, ctx.pairs, sharp, kernel_ready(g_depth), kernel_ready(g_normal), g_verts
        )
        return g_verts, *(None,) * 7


class _FaceMap(torch.autograd.Function):
    """What a face has at a pixel, by the kernels `op` and `op`_backward; channels: leading sizes of the map."""

    @staticmethod
    def forward(ctx, op, channels, verts, faces, face_id, viewmat, K):
        mesh = kernel_ready(verts), kernel_ready(faces), kernel_ready(face_id), viewmat, K
        drawn = verts.new_empty(*channels, *face_id.shape)
        getattr(driver(verts), op)(*mesh, drawn)
        ctx.op = op
        ctx.save_for_backward(*mesh)
        return drawn

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        verts = ctx.saved_tensors[0]
        g_verts = torch.zeros_like(verts)
        getattr(driver(verts), f"{ctx.op}_backward")(*ctx.saved_tensors, kernel_ready(g), g_verts)
        return None, None, g_verts, None, None, None, None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, verts, faces, face_id, viewmat, K):
        mesh = kernel_ready(attributes), kernel_ready(verts), kernel_ready(faces), kernel_ready(face_id), viewmat, K
        out = verts.new_empty(attributes.shape[1], *face_id.shape)
        driver(verts).interpolate(*mesh, out)
        ctx.save_for_backward(*mesh)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        attributes, verts = ctx.saved_tensors[:2]
        g_attributes = torch.zeros_like(attributes) if ctx.needs_input_grad[0] else None
        g_verts = torch.zeros_like(verts) if ctx.needs_input_grad[1] else None
        driver(verts).interpolate_backward(*ctx.saved_tensors, kernel_ready(g), g_attributes, g_verts)
        return g_attributes, g_verts, None, None, None, None


class _Antialias(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, verts, faces, face_id, viewmat, K):
        image, verts, faces = kernel_ready(image), kernel_ready(verts), kernel_ready(faces)
        found = driver(verts).silhouette_pairs(verts, faces, kernel_ready(face_id), viewmat, K)
        pairs = [torch.as_tensor(array) for array in found]
        out = torch.empty_like(image)
        driver(verts).antialias(*pairs, image, out)
        ctx.save_for_backward(verts, faces, viewmat, K, *pairs, image)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        g_image = torch.empty_like(g, memory_format=torch.contiguous_format) if ctx.needs_input_grad[0] else None
        verts = ctx.saved_tensors[0]
        g_verts = torch.zeros_like(verts) if ctx.needs_input_grad[1] else None
        driver(verts).antialias_backward(*ctx.saved_tensors, kernel_ready(g), g_image, g_verts)
        return g_image, g_verts, None, None, None, None


def _check_mesh(verts, faces):
    check_tensor("verts", verts, ("V", 3), _FLOATS)
    check_tensor("faces", faces, ("F", 3), (torch.int32,))


def _new_face_id(verts, size, near):
    """Room for the face of each pixel, if size and near are such that there can be any."""
    height, width = (int(side) for side in size)
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
        raise ValueError(f"size must be (height, width) from 1 to {_LARGEST_SIDE} pixels, not {tuple(size)}.")
    if not near > 0:
        raise ValueError(f"near must be greater than 0, not {near}.")
    return torch.empty(height, width, dtype=torch.int32, device=verts.device)


def _check_face_id(face_id):
    check_tensor("face_id", face_id, ("H", "W"), (torch.int32,))


def _camera(viewmat, K, **mesh):
    """viewmat and K as the kernels take them, if they are where the mesh is."""
    check_tensor("viewmat", viewmat, (4, 4), _FLOATS)
    check_tensor("K", K, (3, 3), _FLOATS)
    check_device(**mesh, viewmat=viewmat, K=K)
    return kernel_ready(viewmat.double()), kernel_ready(K.double())
