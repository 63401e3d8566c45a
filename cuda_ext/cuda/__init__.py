# SPDX-License-Identifier: Apache-2.0
"""The CUDA driver: the functions of the compiled CPU module, by the same names and arguments, for tensors on a GPU.

Outputs are torch tensors on that GPU where the CPU module returns numpy arrays. Importing this needs no GPU, no driver
and no compiler; the first call does.
"""

from .activation import activate, activate_backward
from .adam import sparse_adam_steps
from .composite import composite
from .deformation import carry, decompose, reshape, turn_harmonics
from .densify_statistics import add_render_statistics
from .depth_normals import (
    depth_normals,
    depth_normals_backward,
    normal_agreement,
    normal_agreement_backward,
)
from .filter3d import least_depth
from .fusion import carve_labels, fuse_colors, fuse_depth
from .gof import GofFrame
from .integration import integrate_points
from .mesh_losses import view_loss, view_loss_backward
from .neighbours import mean_sq_distance, nearest
from .pivots import field, field_backward, pivots, pivots_backward
from .splats import GeometryFrame, TrainFrame, place_geometry, splat_depth, splat_stats
from .ssim import image_distance, image_distance_backward
from .surface_gradients import triangle_gradients, vertex_gradients
from .tets import find_crossings, march_backward, unique_edges
from .triangles import (
    antialias,
    antialias_backward,
    face_depth,
    face_depth_backward,
    face_normals,
    face_normals_backward,
    interpolate,
    interpolate_backward,
    mesh_maps,
    mesh_maps_backward,
    silhouette_pairs,
    visibility,
)

GeometryFrame32 = GeometryFrame64 = GeometryFrame
GofFrame32 = GofFrame64 = GofFrame
TrainFrame32 = TrainFrame64 = TrainFrame

__all__ = [
    "GeometryFrame32", "GeometryFrame64", "GofFrame32", "GofFrame64", "TrainFrame32", "TrainFrame64", "activate",
    "activate_backward", "add_render_statistics", "antialias", "antialias_backward", "carry", "carve_labels",
    "composite", "decompose", "depth_normals", "depth_normals_backward", "face_depth", "face_depth_backward",
    "face_normals", "face_normals_backward", "field", "field_backward", "find_crossings", "fuse_colors", "fuse_depth",
    "image_distance", "image_distance_backward", "integrate_points", "interpolate", "interpolate_backward",
    "least_depth", "march_backward", "mean_sq_distance", "mesh_maps", "mesh_maps_backward", "nearest",
    "normal_agreement", "normal_agreement_backward", "pivots", "pivots_backward", "place_geometry", "reshape",
    "silhouette_pairs", "sparse_adam_steps", "splat_depth", "splat_stats", "triangle_gradients", "turn_harmonics",
    "unique_edges", "vertex_gradients", "view_loss", "view_loss_backward", "visibility",
]  # fmt: skip
