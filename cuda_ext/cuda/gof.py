# SPDX-License-Identifier: Apache-2.0
"""The GOF rasteriser on the GPU, over the cells of the others."""

from __future__ import annotations

from .runtime import carve
from .splats import PlacedScene, counted


class GofFrame:
    """Forward pass of the GOF raster, and what its backward pass needs."""

    @classmethod
    def render(
        cls, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, height, width, background,
        kernel_size, near, image, alpha, depth, normal, radii,
    ):  # fmt: skip
        frame = cls()
        frame.kernel_size, frame.near = kernel_size, near
        pixels = alpha.numel()
        frame.room, frame.maps = carve(image.device, *2 * [pixels * image.element_size()], *2 * [4 * pixels])
        gaussians = counted((means, scales, quats, opacities, sh_dc, sh_rest), sh_degree)
        frame.scene = scene = PlacedScene(
            "place_gof", gaussians, viewmat, K, height, width, (kernel_size, near), radii
        )
        scene.list_pairs()
        scene.blend(
            "splat_gof.cu", "blend_gof", viewmat, K, background, width, height, near, image, alpha, depth, normal,
            *frame.maps,
        )  # fmt: skip
        return frame

    def backward(
        self, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, image, alpha, depth, normal, g_image, g_alpha,
        g_depth, g_normal, *grads,
    ):  # fmt: skip
        scene, slots = self.scene, self.scene.slots()
        absolute = grads[6] is not None   # the gradient of screen_grad
        before = (scene.viewmat, scene.K, scene.width, scene.height, self.near, image)
        transmittance, normal_length, median_at, drawn_end = self.maps
        if g_normal is None:
            scene.blend(
                "splat_gof.cu", "blend_gof_colour_backward", *before, transmittance, drawn_end, g_image, g_alpha,
                absolute, slots,
            )  # fmt: skip
        else:
            scene.blend(
                "splat_gof.cu", "blend_gof_backward", *before, normal, transmittance, normal_length, median_at,
                drawn_end, g_image, g_alpha, g_depth, g_normal, absolute, slots,
            )  # fmt: skip
        gaussians = (means, scales, quats, opacities, sh_dc, sh_rest)
        scene.gradients("gof_gradients", slots, gaussians, sh_degree, (self.kernel_size,), grads)
