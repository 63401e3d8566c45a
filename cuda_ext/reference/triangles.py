# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.triangles: every face against every pixel, gradients by autograd (rasterization.md, 7)."""

from __future__ import annotations

import math

import torch


def camera_frame(verts, viewmat):
    """World points [V, 3] in the camera frame."""
    viewmat = viewmat.to(verts)
    return verts @ viewmat[:3, :3].T + viewmat[:3, 3]


def pixel_rays(K, size, like):
    """Directions (x, y, 1) [H, W, 3] through the pixel centres."""
    height, width = size
    K = K.to(like)
    x = (torch.arange(width).to(like) + 0.5 - K[0, 2]) / K[0, 0]
    y = (torch.arange(height).to(like) + 0.5 - K[1, 2]) / K[1, 1]
    return torch.cat([torch.stack(torch.meshgrid(x, y, indexing="xy"), -1), x.new_ones(height, width, 1)], -1)


def barycentrics(triangles, rays):
    """Perspective-correct weights [..., 3] of the points where rays [..., 3] meet the planes of faces [..., 3, 3]."""
    v0, v1, v2 = triangles.unbind(-2)
    e = torch.stack([(torch.linalg.cross(a, b) * rays).sum(-1) for a, b in ((v1, v2), (v2, v0), (v0, v1))], -1)
    return e / e.sum(-1, keepdim=True)


def visibility(verts, faces, viewmat, K, size, near=0.01, far=math.inf):
    """Nearest face by casting the ray of each pixel at all faces, [H, W] int32."""
    best = torch.full(size, math.inf, dtype=verts.dtype)
    face_id = torch.full(size, -1, dtype=torch.int32)
    triangles = camera_frame(verts, viewmat)[faces.long()]
    rays = pixel_rays(K, size, verts)
    for index, triangle in enumerate(triangles):
        weights = barycentrics(triangle, rays)
        z = weights @ triangle[:, 2]
        nearer = (weights >= 0).all(-1) & (z >= near) & (z <= far) & (z < best)
        best[nearer] = z[nearer]
        face_id[nearer] = index
    return face_id


def _hits(verts, faces, face_id, viewmat, K):
    """The covered pixels [H, W] bool, the vertices [P, 3] of their faces and the barycentrics [P, 3] in them."""
    covered = face_id >= 0
    corners = faces.long()[face_id[covered].long()]
    rays = pixel_rays(K, face_id.shape, verts)[covered]
    weights = barycentrics(camera_frame(verts, viewmat)[corners], rays)
    clamped = weights.detach().clamp(min=0)
    clamped = clamped / clamped.sum(-1, keepdim=True)
    return covered, corners, torch.where((weights >= 0).all(-1, keepdim=True), weights, clamped)


def interpolate(attributes, verts, faces, face_id, viewmat, K):
    """Vertex attributes at the pixels, [C, H, W]."""
    covered, corners, weights = _hits(verts, faces, face_id, viewmat, K)
    out = attributes.new_zeros(*face_id.shape, attributes.shape[1])
    out[covered] = (weights[:, :, None] * attributes[corners]).sum(1)
    return out.movedim(-1, 0)


def face_depth(verts, faces, face_id, viewmat, K):
    """z depth at the pixels, [H, W]: the vertices' own z, interpolated."""
    return interpolate(camera_frame(verts, viewmat)[:, 2:], verts, faces, face_id, viewmat, K)[0]


def face_normals(verts, faces, face_id, viewmat):
    """Unit face normals in the camera frame, [3, H, W]."""
    v0, v1, v2 = camera_frame(verts, viewmat)[faces.long()].unbind(1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(v1 - v0, v2 - v0), dim=-1, eps=1e-12)
    out = torch.where((face_id >= 0)[..., None], normals[face_id.clamp(min=0).long()], 0.0)
    return out.movedim(-1, 0)


def antialias(image, verts, faces, face_id, viewmat, K):
    """Silhouette blending, pixel pair by pixel pair (spec 7.3); takes its time."""
    points = camera_frame(verts, viewmat)
    screen = points @ K.to(verts).T
    screen = screen[:, :2] / screen[:, 2:]
    depth = face_depth(verts, faces, face_id, viewmat, K).detach()
    depth[face_id < 0] = math.inf
    opposite = {}   # edge -> the third corners of its faces
    for face in faces.tolist():
        for k in range(3):
            opposite.setdefault(frozenset((face[k], face[k - 1])), []).append(face[k - 2])

    def side(a, b, c):   # of the plane through the eye and the edge (a, b)
        return torch.linalg.det(points[[a, b, c]].detach()).sign()

    out = image.clone()
    height, width = face_id.shape
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                here, there = (row, column), (row + down, column + right)
                if not (0 <= there[0] < height and 0 <= there[1] < width):
                    continue
                mine, other = int(face_id[here]), int(face_id[there])
                if mine < 0 or mine == other or (depth[here], mine) > (depth[there], other):
                    continue
                face = faces[mine].tolist()
                if (points[face, 2] <= 0).any():
                    continue
                axis = 0 if right else 1   # along the pair: x or y
                offset = screen[face] - screen.new_tensor([column + 0.5, row + 0.5])
                along, across = offset[:, axis] * (right + down), offset[:, 1 - axis]
                crossings = []
                for k in range(3):
                    if (across[k] > 0) != (across[k - 1] > 0):
                        t = across[k] / (across[k] - across[k - 1])
                        crossings.append((along[k] + t * (along[k - 1] - along[k]), k))
                if not crossings:
                    continue
                s, k = max(crossings, key=lambda crossing: crossing[0].item())
                lean, rise = (along[k] - along[k - 1]).abs(), (across[k] - across[k - 1]).abs()
                if not (-1 / 16 < s < 17 / 16) or rise < lean or (rise == lean and down):
                    continue
                a, b, c = face[k], face[k - 1], face[k - 2]
                if any(side(a, b, c) * side(a, b, third) < 0 for third in opposite[frozenset((a, b))]):
                    continue
                s = s.clamp(0, 1)
                difference = image[:, here[0], here[1]] - image[:, there[0], there[1]]
                if s > 0.5:
                    out[:, there[0], there[1]] += (s - 0.5) * difference
                else:
                    out[:, here[0], here[1]] -= (0.5 - s) * difference
    return out


def mesh_maps(verts, faces, viewmat, K, size, near=0.01, far=math.inf, *, antialiased=True):
    """Depth, normal and face id, one after the other."""
    face_id = visibility(verts, faces, viewmat, K, size, near, far)
    depth = face_depth(verts, faces, face_id, viewmat, K)
    if antialiased:
        depth = antialias(depth[None], verts, faces, face_id, viewmat, K)[0]
    return depth, face_normals(verts, faces, face_id, viewmat), face_id
