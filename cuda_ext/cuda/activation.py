# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load


def activate(log_scales, logits, radii, scales, opacities):
    _launch("activate", log_scales, logits, radii, scales, opacities)


def activate_backward(log_scales, logits, radii, g_scales, g_opacities, g_log_scales, g_logits):
    _launch("activate_backward", log_scales, logits, radii, g_scales, g_opacities, g_log_scales, g_logits)


def _launch(kernel, log_scales, logits, radii, *others):
    count = len(logits)
    kernels = load("activation.cu", logits.device, logits.dtype)
    kernels.launch(kernel, blocks(count, 256), 256, log_scales, logits, radii, count, *others)
