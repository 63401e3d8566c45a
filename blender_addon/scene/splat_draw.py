# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of splats drawn into a 3D View, at the depths of its pixels. There is no gpu module without a window."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..protocol.messages import Picture
from .splat_view import EMPTY, View

VERTEX = """
void main() {
    uv = position * 0.5 + 0.5;
    gl_Position = vec4(position, 0.0, 1.0);
}
"""
FRAGMENT = """
void main() {
    ivec2 size = textureSize(depth_map, 0);
    float z = nearer - texelFetch(depth_map, min(ivec2(uv * vec2(size)), size - 1), 0).r;
    if (z < -1e9) {
        discard;
    }
    float w = max(clip.z * z + clip.w, 1e-6); // what comes nearer than the eye is in front of all, not behind it
    gl_FragDepth = clamp(0.5 * (clip.x * z + clip.y) / w + 0.5, 0.0, 1.0);
    vec4 texel = texture(image, uv) / 255.0;
    vec3 encoded = texel.rgb / max(texel.a, 1e-3);
    vec3 linear = mix(encoded / 12.92, pow((encoded + 0.055) / 1.055, vec3(2.4)), step(0.04045, encoded));
    colour = vec4(linear * texel.a, texel.a);
}
"""


def texels_of(picture: Picture, farther: float) -> tuple[np.ndarray, np.ndarray]:
    """Colours [H, W, 4] of 0..255 and depths [H, W] for the GPU, float32, bottom row first; for worker threads."""
    depth = np.where(picture.depth > 0, picture.depth - np.float32(farther), np.float32(EMPTY))
    return picture.image[::-1].astype(np.float32, order="C"), np.ascontiguousarray(depth[::-1], np.float32)


class Texture:
    """A picture on the GPU."""

    def __init__(self, colours: np.ndarray, depths: np.ndarray):
        self.image = _texture(colours, "RGBA16F")
        self.depth = _texture(depths[..., None], "R32F")

    def draw(self, view: View, among_others: bool, nearer: float) -> None:
        """Draw into the whole of a region with this view; hidden by what is `nearer` by so many units there, if
        `among_others`."""
        import gpu

        shader, batch = _quad()
        P = view.projection
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("LESS_EQUAL" if among_others else "NONE")
        gpu.state.depth_mask_set(False)
        shader.bind()
        shader.uniform_sampler("image", self.image)
        shader.uniform_sampler("depth_map", self.depth)
        shader.uniform_float("nearer", nearer)
        shader.uniform_float("clip", (P[2, 2], P[2, 3], P[3, 2], P[3, 3]))
        batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


def _texture(values: np.ndarray, kind: str):
    import gpu

    height, width, _ = values.shape
    return gpu.types.GPUTexture((width, height), format=kind, data=gpu.types.Buffer("FLOAT", values.size, values))


@cache
def _quad():
    """The shader, and a rectangle over all of the region."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    info, between = gpu.types.GPUShaderCreateInfo(), gpu.types.GPUStageInterfaceInfo("milo_splats")
    between.smooth("VEC2", "uv")
    info.vertex_in(0, "VEC2", "position")
    info.vertex_out(between)
    info.sampler(0, "FLOAT_2D", "image")
    info.sampler(1, "FLOAT_2D", "depth_map")
    info.push_constant("VEC4", "clip")
    info.push_constant("FLOAT", "nearer")
    info.fragment_out(0, "VEC4", "colour")
    if hasattr(info, "depth_write"):  # from 4.5; before, only macOS needs it, and there splats are in front of all
        info.depth_write("ANY")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    shader = gpu.shader.create_from_info(info)
    return shader, batch_for_shader(shader, "TRI_STRIP", {"position": [(-1, -1), (1, -1), (-1, 1), (1, 1)]})
