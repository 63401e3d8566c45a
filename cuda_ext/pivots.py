# SPDX-License-Identifier: Apache-2.0
"""Nine pivots a Gaussian, and the signed distance at them (spec training.md 4.4, 5.2, 5.4).

Pivot order, of 9n pivots of n Gaussians: all corners first (Gaussian-major, eight each, z fastest), then all centres.
`rows` ([n] int32, each Gaussian at most once) are the Gaussians that carry pivots; None = all N of them.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

PIVOTS = 9   # a Gaussian: eight corners of its box, and its centre
_FLOATS = (torch.float32, torch.float64)


def pivots(means, scales, quats, rows=None, share=1.0):
    """The corners of the Gaussians' three-sigma boxes, and their centres.

    Args:
        means: [N, 3] float32 or float64, world units.
        scales: [N, 3], standard deviations, world units.
        quats: [N, 4] (w, x, y, z), any length.
        rows: [n] int32 or None, as above.
        share: n / N when only n of N Gaussians were chosen: boxes grow by share^(-1/3) to fill the gaps.

    Returns:
        points [9n, 3] in pivot order, world units, differentiable in means, scales and quats; radii [9n], the largest
        half extent of each pivot's box, without gradient.

    Raises:
        ValueError: shapes, dtypes or devices do not agree.
    """
    check_tensor("means", means, ("N", 3), _FLOATS)
    check_tensor("scales", scales, (len(means), 3), (means.dtype,))
    check_tensor("quats", quats, (len(means), 4), (means.dtype,))
    check_device(means=means, scales=scales, quats=quats)
    rows = _rows(rows, means=means)
    return _Pivots.apply(means, scales, quats, rows, 3.0 * share ** (-1 / 3))


def field(base, shift, rows=None, labels=None, on_surface=None, *, label_kind="parity", center_weight=1.0,
          label_weight=1.0):  # fmt: skip
    """Signed distance at the pivots, and the losses on the occupancy itself.

    Args:
        base: [N, 9] float32 or float64, occupancy logits of corners and centre; no gradient.
        shift: [N, 9], what is learned; the logit is base + shift.
        rows: [n] int32 or None, as above.
        labels: [9n] uint8 in pivot order, 1 = occupied; None: signed distance alone, losses None.
        on_surface: [n] bool, the Gaussians whose centres are pulled inside; None = all.
        label_kind: "parity": mean cross-entropy over all pivots times the share labelled occupied, as the reference has
            it (Q12); "masked": the mean over all pivots of the terms of occupied pivots alone, as the paper has it.
        center_weight, label_weight: of the two losses.

    Returns:
        sdf [9n] in pivot order, unitless, about [-1, 1], positive outside; the loss of the centres, center_weight *
        mean max(0, 1/2 - occupancy), scalar, 0 where there are none; the loss of the labels, scalar. All differentiable
        in shift.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or label_kind is unknown.
    """
    check_tensor("base", base, ("N", PIVOTS), _FLOATS)
    check_tensor("shift", shift, tuple(base.shape), (base.dtype,))
    check_device(base=base, shift=shift)
    rows = _rows(rows, base=base)
    count = len(base) if rows is None else len(rows)
    if labels is not None:
        check_tensor("labels", labels, (PIVOTS * count,), (torch.uint8,))
        check_device(base=base, labels=labels)
        labels = kernel_ready(labels)
    if on_surface is not None:
        check_tensor("on_surface", on_surface, (count,), (torch.bool,))
        check_device(base=base, on_surface=on_surface)
        on_surface = kernel_ready(on_surface).view(torch.uint8)
    if label_kind not in ("parity", "masked"):
        raise ValueError(f'label_kind must be "parity" or "masked", not {label_kind!r}.')
    losses = labels, on_surface, label_kind == "masked", float(center_weight), float(label_weight)
    return _Field.apply(base, shift, rows, *losses)


class _Pivots(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, scales, quats, rows, growth):
        means, scales, quats = kernel_ready(means), kernel_ready(scales), kernel_ready(quats)
        count = PIVOTS * (len(means) if rows is None else len(rows))
        points, radii = means.new_empty(count, 3), means.new_empty(count)
        driver(means).pivots(means, scales, quats, rows, growth, points, radii)
        ctx.save_for_backward(scales, quats, rows)
        ctx.growth = growth
        ctx.mark_non_differentiable(radii)
        ctx.set_materialize_grads(False)
        return points, radii

    @staticmethod
    @once_differentiable
    def backward(ctx, g_points, _g_radii):
        if g_points is None:
            return (None,) * 5
        scales, quats, rows = ctx.saved_tensors
        new = torch.empty_like if rows is None else torch.zeros_like
        g_means, g_scales, g_quats = new(scales), new(scales), new(quats)
        driver(scales).pivots_backward(
            scales, quats, rows, ctx.growth, kernel_ready(g_points), g_means, g_scales, g_quats
        )
        return g_means, g_scales, g_quats, None, None


class _Field(torch.autograd.Function):
    @staticmethod
    def forward(ctx, base, shift, rows, labels, on_surface, *kind_and_weights):
        base, shift = kernel_ready(base), kernel_ready(shift)
        count = PIVOTS * (len(base) if rows is None else len(rows))
        sdf, terms = base.new_empty(count), base.new_empty(2)
        counts = torch.empty(2, dtype=torch.float64, device=base.device)   # that the losses divide by
        driver(base).field(base, shift, rows, labels, on_surface, *kind_and_weights, sdf, counts, terms)
        ctx.save_for_backward(base, shift, rows, labels, on_surface, counts)
        ctx.kind_and_weights = kind_and_weights
        ctx.set_materialize_grads(False)
        return (sdf, None, None) if labels is None else (sdf, terms[0], terms[1])

    @staticmethod
    @once_differentiable
    def backward(ctx, g_sdf, g_center, g_label):
        base, shift, rows, labels, on_surface, counts = ctx.saved_tensors
        g_shift = torch.empty_like(shift) if rows is None else torch.zeros_like(shift)
        grads = [None if g is None else kernel_ready(g) for g in (g_sdf, g_center, g_label)]
        driver(base).field_backward(
            base, shift, rows, labels, on_surface, *ctx.kind_and_weights, counts, *grads, g_shift
        )
        return None, g_shift, *(None,) * 6


def _rows(rows, **like):
    if rows is not None:
        check_tensor("rows", rows, ("n",), (torch.int32,))
        check_device(**like, rows=rows)
        rows = kernel_ready(rows)
    return rows
