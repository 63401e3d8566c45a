# SPDX-License-Identifier: Apache-2.0
"""Depth maps judged at free points: truncated distances, colours and labels, fused view by view.

Every op takes one view and changes its last tensors in place; call it once per view. Arguments in common:

    points: [P, 3] float32 or float64, world units. All floating tensors share its dtype.
    depth: [H, W], z depth that the view sees, world units, 0 where it sees nothing.
    viewmat: [4, 4] world to camera (x right, y down, z forward); K: [3, 3] pixels, without skew.
    value: [P], mean truncated signed distance so far, in front of the surface > 0; starts at what the caller wants for
        points that no view judges.
    weight: [P], number of views so far; starts at 0.
    truncation: distance at which the field saturates, world units, > 0.
    near, far: z depths, world units, between which a point must lie.

A view judges a point if its projection (not rounded) lies between the centres of the outermost pixels, the depth there
is not 0, and the point is not more than the truncation behind it. All observations weigh the same.
"""

from __future__ import annotations

import math

import torch

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)


@torch.no_grad()
def fuse_depth(points, depth, viewmat, K, value, weight, truncation, near=0.01, far=math.inf, nearest=False):
    """Average the truncated signed distance of points to a depth map into value and weight.

    Spec training.md, 5.6. The depth is sampled bilinearly, where empty pixels count as depth 0, or at the nearest
    pixel, which invents no depths between a foreground and what is behind it. Other arguments as above.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or value or weight is not contiguous.
    """
    camera = _check(points, depth, viewmat, K, truncation)
    _check_in_place(points, value=value, weight=weight)
    driver(points).fuse_depth(*camera, float(near), float(far), float(truncation), bool(nearest), value, weight)


@torch.no_grad()
def fuse_colors(points, depth, image, viewmat, K, value, weight, colors, truncation, near=0.01, far=math.inf):
    """As `fuse_depth`, with the nearest pixel's depth; averages the nearest pixel's colour into colors as well.

    Spec extraction, 1.1 F. Arguments as above, and:

    Args:
        image: [3, H, W] in [0, 1], what the view shows.
        colors: [P, 3] in [0, 1], mean so far; starts at 0.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or value, weight or colors is not contiguous.
    """
    camera = _check(points, depth, viewmat, K, truncation)
    check_tensor("image", image, (3, *depth.shape), (points.dtype,))
    check_device(points=points, image=image)
    _check_in_place(points, value=value, weight=weight, colors=colors)
    driver(points).fuse_colors(
        *camera, float(near), float(far), float(truncation), kernel_ready(image), value, weight, colors
    )


@torch.no_grad()
def carve_labels(points, depth, viewmat, K, labels, near=0.01, far=math.inf):
    """Set to 0 the labels of points that a view sees in front of the surface or on it, by the nearest pixel's depth.

    Spec training.md, 5.9. Arguments as above, and:

    Args:
        labels: [P] uint8; starts at 1. What stays 1 is hidden from every view that can judge it, or judged by none.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or labels is not contiguous.
    """
    camera = _check(points, depth, viewmat, K)
    check_tensor("labels", labels, (len(points),), (torch.uint8,))
    check_device(points=points, labels=labels)
    _check_contiguous("labels", labels)
    driver(points).carve_labels(*camera, float(near), float(far), labels)


def _check(points, depth, viewmat, K, truncation=1.0):
    """The leading arguments, checked, as the kernels take them."""
    check_tensor("points", points, ("P", 3), _FLOATS)
    check_tensor("depth", depth, ("H", "W"), (points.dtype,))
    check_tensor("viewmat", viewmat, (4, 4), _FLOATS)
    check_tensor("K", K, (3, 3), _FLOATS)
    check_device(points=points, depth=depth, viewmat=viewmat, K=K)
    if not truncation > 0:
        raise ValueError(f"truncation must be greater than 0, not {truncation}.")
    return kernel_ready(points), kernel_ready(depth), kernel_ready(viewmat.double()), kernel_ready(K.double())


def _check_in_place(points, **tensors):
    for name, tensor in tensors.items():
        check_tensor(name, tensor, (len(points), 3) if name == "colors" else (len(points),), (points.dtype,))
        _check_contiguous(name, tensor)
    check_device(points=points, **tensors)


def _check_contiguous(name, tensor):
    if not tensor.is_contiguous():
        raise ValueError(f"{name} is changed in place and must be contiguous: pass a tensor, not a slice of one.")
