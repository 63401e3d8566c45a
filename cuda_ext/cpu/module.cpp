// SPDX-License-Identifier: Apache-2.0
// The native module: every op group binds itself in its own file.
#include "bindings.h"

NB_MODULE(MILO_MODULE, m) {
    m.doc() = "CPU kernels of MILo; use them through milo.cuda_ext";
    nb::set_leak_warnings(false);   // a graph of gradients alive when Python exits holds objects of ours: no leak
    bind_parallel(m);
    bind_splats(m);
    bind_triangles(m);
    bind_tets(m);
    bind_delaunay(m);
    bind_fusion(m);
    bind_ssim(m);
    bind_adam(m);
    bind_neighbours(m);
    bind_filter3d(m);
    bind_depth_normals(m);
    bind_launch(m);
    bind_pivots(m);
    bind_mesh_losses(m);
    bind_activation(m);
    bind_composite(m);
    bind_densify_statistics(m);
    bind_closest(m);
    bind_deformation(m);
    bind_surface_gradients(m);
}
