# SPDX-License-Identifier: Apache-2.0
"""A mesh in the loop of a plain torch trainer, by milo.functional.

    python examples/functional_training.py examples/suzanne --output mesh.ply

The trainer is the smallest there is: Gaussians as leaf tensors, torch.optim.Adam, no densification. Blocks marked MESH
are all that the mesh adds to it. Any rasteriser will do that draws a picture and a depth map.
"""

from __future__ import annotations

import argparse
import math

import torch

from milo import functional as milo
from milo.backend.config import DataConfig
from milo.backend.data.ply import write_mesh
from milo.backend.data.scene import load_scene
from milo.cuda_ext.neighbours import mean_sq_distance
from milo.cuda_ext.splats import rasterize_geometry
from milo.cuda_ext.ssim import photometric_loss

SH_C0 = 0.5 / math.sqrt(math.pi)
RATES = {"means": 2e-4, "log_scales": 5e-3, "rotations": 1e-3, "opacity_logits": 0.05, "sh": 2.5e-3}


class Gaussians:
    """Leaf tensors, as every trainer has them in one form or another."""

    def __init__(self, points, colors):
        spacing = mean_sq_distance(points).clamp_min(1e-7).sqrt()
        self.raw = {
            "means": points.clone(),
            "log_scales": spacing.log()[:, None].repeat(1, 3),
            "rotations": torch.tensor([1.0, 0, 0, 0], device=points.device).repeat(len(points), 1),
            "opacity_logits": torch.zeros(len(points), device=points.device),
            "sh": (colors - 0.5) / SH_C0,
        }
        for tensor in self.raw.values():
            tensor.requires_grad_()

    @property
    def shape(self):
        """means, activated scales, rotations: what milo.functional takes."""
        return self.raw["means"], self.raw["log_scales"].exp(), self.raw["rotations"]

    @property
    def opacities(self):
        return self.raw["opacity_logits"].sigmoid()


def render(gaussians, view, background):
    """{"render": [3, H, W], "depth": [H, W], "alpha": [H, W]} of a view; put your own rasteriser here."""
    camera, sh = view.camera, gaussians.raw["sh"]
    drawn = rasterize_geometry(*gaussians.shape, gaussians.opacities, sh, sh.new_zeros(len(sh), 0, 3), camera.viewmat,
                               camera.K, camera.size, background=background)
    return {"render": drawn.image, "depth": drawn.median_depth, "alpha": drawn.alpha}


def train(scene, iterations=600, mesh_from=300, rebuild_every=100, max_pivot_gaussians=20_000, log=print):
    """Train; returns the Gaussians, the mesh with colours, and the losses of each iteration."""
    device = scene.train[0].camera.viewmat.device
    points = torch.from_numpy(scene.points).to(device, torch.float32)
    gaussians = Gaussians(points, torch.from_numpy(scene.colors).to(device) / 255)
    groups = [{"params": [gaussians.raw[name]], "lr": rate} for name, rate in RATES.items()]
    optimizer = torch.optim.Adam(groups, eps=1e-15)
    background = torch.zeros(3, device=device)
    extent = milo.scene_extent(scene.train)
    generator = torch.Generator().manual_seed(0)
    history = []
    for k in range(1, iterations + 1):
        view = scene.train[int(torch.randint(len(scene.train), (), generator=generator))]
        drawn = render(gaussians, view, background)
        terms = {"photo": photometric_loss(drawn["render"], view.target(background))}

        if k >= mesh_from:                                                                                    # MESH
            if k == mesh_from:
                chosen = milo.sample_gaussians_on_surface(scene.train, *gaussians.shape, gaussians.opacities,
                                                          max_pivot_gaussians, "outdoor")
                sdf = milo.compute_initial_sdf_values(scene.train, lambda v: render(gaussians, v, background),
                                                      *gaussians.shape, gaussian_idx=chosen)
                logits = torch.logit(milo.sdf_to_occupancy(sdf)).requires_grad_()
                optimizer.add_param_group({"params": [logits], "lr": 0.025})
            if (k - mesh_from) % rebuild_every == 0:
                tets = milo.compute_delaunay_triangulation(*gaussians.shape, chosen)
                topology = milo.tet_topology(tets.int(), len(logits))
                whole = extract(gaussians, chosen, topology, logits, filter_large_edges=False)
                pivots, _ = milo.extract_gaussian_pivots(*gaussians.shape, chosen)
                labels = milo.compute_occupancy_labels(scene.train, pivots, whole)
            mesh = milo.frustum_cull_mesh(extract(gaussians, chosen, topology, logits), view)
            seen = milo.render_mesh(mesh, view)
            normals = milo.depth_normals(drawn["depth"], view.camera.K)
            terms["depth"] = 0.05 * milo.depth_loss(seen.depth, drawn["depth"], extent)
            terms["normal"] = 0.05 * milo.normal_loss(seen.normal, normals, seen.depth)
            terms["centers"] = 0.005 * milo.center_loss(milo.from_pivot_order(logits))
            terms["labels"] = 0.005 * milo.label_loss(logits, labels, "masked")

        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        history.append({name: float(term.detach()) for name, term in terms.items()})
        if k % 50 == 0:
            log(f"{k:5}  " + "  ".join(f"{name} {value:.4f}" for name, value in history[-1].items()))
    with torch.no_grad():                                                                                     # MESH
        mesh = extract(gaussians, chosen, topology, logits)
        return gaussians, mesh._replace(colors=milo.compute_vertex_colors(scene.train, mesh)), history


def extract(gaussians, chosen, topology, logits, **options):
    """The mesh of this moment."""
    sdf = milo.occupancy_to_sdf(logits.sigmoid())
    return milo.extract_mesh(topology, sdf, *gaussians.shape, chosen, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", help="folder with COLMAP's sparse/ and images/, or a transforms.json")
    parser.add_argument("--output", default="functional_mesh.ply")
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--max-width", type=int, default=200)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    scene = load_scene(options.scene, DataConfig(max_width=options.max_width)).to(options.device)
    _, mesh, _ = train(scene, options.iterations, options.iterations // 2)
    colors = (mesh.colors * 255).round().to(torch.uint8)
    write_mesh(options.output, mesh.verts.cpu().numpy(), mesh.faces.cpu().numpy(), colors.cpu().numpy())
    print(f"{options.output}: {len(mesh.verts):,} vertices, {len(mesh.faces):,} triangles")


if __name__ == "__main__":
    main()
