# SPDX-License-Identifier: Apache-2.0
"""The step from Gaussians to a mesh, differentiable, for anybody's 3DGS trainer.

Plain tensors in, plain tensors out; nothing is kept between calls. All floating tensors are float32 on one device,
CPU or CUDA; indices are int64. Gaussians are means [N, 3] in world units, scales [N, 3] (standard deviations, after
exp; 2DGS has two: pad the third), rotations [N, 4] (w, x, y, z), opacities [N] or [N, 1] in (0, 1), after sigmoid. Pass
scales with the 3D filter everywhere or nowhere. Views are whatever `as_camera` understands.

    idx = sample_gaussians_on_surface(views, means, scales, rotations, opacities, 600_000, "indoor")   # once
    tets = compute_delaunay_triangulation(means, scales, rotations, idx)                         # every 500 iterations
    sdf = compute_initial_sdf_values(views, render, means, scales, rotations, gaussian_idx=idx)
    logits = torch.logit(sdf_to_occupancy(sdf)).requires_grad_()                                 # learned from now on
    mesh = extract_mesh(tets, occupancy_to_sdf(logits.sigmoid()), means, scales, rotations, idx)
    drawn = render_mesh(frustum_cull_mesh(mesh, view), view)

examples/functional_training.py is a whole training loop. Contract: spec extraction, section 2.
"""

from milo.backend.mesh.occupancy import occupancy_from_sdf as sdf_to_occupancy
from milo.backend.mesh.pivots import from_pivot_order
from milo.cuda_ext.depth_normals import depth_normals
from milo.cuda_ext.tets import tet_topology

from .cameras import Camera, as_camera, colmap_camera, scene_extent
from .fields import compute_initial_sdf_values, compute_occupancy_labels, compute_vertex_colors, occupancy_to_sdf
from .gaussians import compute_delaunay_triangulation, extract_gaussian_pivots, sample_gaussians_on_surface
from .losses import center_loss, depth_loss, label_loss, normal_loss, to_pivot_order
from .meshes import Mesh, MeshRender, extract_mesh, frustum_cull_mesh, render_mesh

__all__ = [
    "Camera", "Mesh", "MeshRender", "as_camera", "center_loss", "colmap_camera", "compute_delaunay_triangulation",
    "compute_initial_sdf_values", "compute_occupancy_labels", "compute_vertex_colors", "depth_loss", "depth_normals",
    "extract_gaussian_pivots", "extract_mesh", "from_pivot_order", "frustum_cull_mesh", "label_loss", "normal_loss",
    "occupancy_to_sdf", "render_mesh", "sample_gaussians_on_surface", "scene_extent", "sdf_to_occupancy",
    "tet_topology", "to_pivot_order",
]
