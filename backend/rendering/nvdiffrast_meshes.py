# SPDX-License-Identifier: Apache-2.0
"""The mesh rasteriser of nvdiffrast behind our interface, for those who have installed it.

nvdiffrast is NVIDIA's, under a licence that allows research and evaluation but no commercial use; MILo neither ships
nor needs it. Written against its public manual: what version 0.4 and the package diffrp-nvdiffrast 0.3.3 share. Clip
space is the cube [-1, 1]^3, the first row of a picture lies at y = -1, and a face's id is stored plus one.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from milo.backend.config import ConfigError
from milo.cuda_ext.triangles import face_normals

MOST_FACES = 2**24 - 1   # in one call: ids are float32


def require_nvdiffrast(device: torch.device | str) -> None:
    """Refuse where nvdiffrast cannot be used.

    Raises:
        ConfigError: it is not installed, or the device is the CPU; the message says what to do.
    """
    if torch.device(device).type != "cuda":
        raise ConfigError("mesh.rasterizer is nvdiffrast, which needs a CUDA GPU, but this run is on the CPU: set "
                          "mesh.rasterizer=native.")
    _library()


@functools.cache
def _library():
    try:
        import nvdiffrast.torch
    except ImportError as error:
        raise ConfigError(
            f"mesh.rasterizer is nvdiffrast, which cannot be imported ({error}). Its licence allows no commercial use; "
            "if that suits you: pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast (it needs "
            "the CUDA toolkit). Otherwise set mesh.rasterizer=native, which needs nothing.") from error
    return nvdiffrast.torch


@functools.cache
def _context(device: torch.device):
    return _library().RasterizeCudaContext(device=device)


def render(verts: Tensor, faces: Tensor, camera, near: float, far: float,
           antialiased: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Depth [H, W], normals [3, H, W] and face ids [H, W] of a mesh; arguments and results as `meshes.render_mesh`'s.

    Of more than 16 million faces those that are seen are drawn again: edges of unseen faces then count as open.
    """
    require_nvdiffrast(verts.device)
    if not len(faces):
        nothing = verts.new_zeros(camera.size) + verts[:0].sum()
        return nothing, nothing.expand(3, -1, -1), torch.full(camera.size, -1, dtype=torch.int32, device=verts.device)
    library, context = _library(), _context(verts.device)
    seen_from = verts @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    clip = clip_space(seen_from, camera.K, camera.size, near, far)[None]
    size, rows, drawn = list(camera.size), None, faces
    if len(faces) > MOST_FACES:
        rows = _seen(library, context, clip.detach(), faces, size)
        drawn = faces[rows].contiguous()
    raster, _ = library.rasterize(context, clip, drawn, resolution=size)
    depth, _ = library.interpolate(seen_from[None, :, 2:].contiguous(), raster, drawn)
    if antialiased:
        depth = library.antialias(depth, raster, clip, drawn)
    face_id = raster[0, ..., 3].detach().to(torch.int32) - 1
    if rows is not None:
        face_id = torch.where(face_id >= 0, rows[face_id.clamp_min(0).long()].to(torch.int32), face_id)
    return depth[0, ..., 0], face_normals(verts, faces, face_id, camera.viewmat), face_id


def clip_space(points: Tensor, K: Tensor, size: tuple[int, int], near: float, far: float) -> Tensor:
    """Homogeneous clip coordinates [V, 4] of points [V, 3] in the camera frame; w is the z depth.

    Args:
        K: [3, 3] pixels. size: (height, width). near, far: depths that become z/w = -1 and 1; far may be infinite.
    """
    (fx, _, cx), (_, fy, cy), _ = K.unbind(0)
    height, width = size
    x, y, z = points.unbind(1)
    slope = 1.0 if math.isinf(far) else (far + near) / (far - near)
    return torch.stack([(2 * fx * x + (2 * cx - width) * z) / width, (2 * fy * y + (2 * cy - height) * z) / height,
                        slope * z - near * (slope + 1), z], dim=1)


@torch.no_grad()
def _seen(library, context, clip: Tensor, faces: Tensor, size: list[int]) -> Tensor:
    """Indices, ascending, of the faces that are nearest somewhere among the MOST_FACES they are drawn with."""
    found = []
    for start in range(0, len(faces), MOST_FACES):
        raster, _ = library.rasterize(context, clip, faces[start:start + MOST_FACES].contiguous(), resolution=size)
        ids = raster[..., 3].unique().long()
        found.append(ids[ids > 0] - 1 + start)
    return torch.cat(found)
