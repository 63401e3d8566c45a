# SPDX-License-Identifier: Apache-2.0
"""The sections of the configuration (`config.Config`): every number, with the paper's fast schedule as defaults.

Iterations are counted from 1.  "extent" is the camera extent of the scene: 1.1 times the largest distance of a training
camera from the mean of the training cameras.  Sources: spec training.md, sections 2.5, 3 to 5, and 7.1; quirk numbers
(Q..) are those of its section 8.  docs/options.md lists all of it, with the reference's names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """What is read from the scene folder."""

    images: str = "images"            # sub-folder with the photos
    masks: str = "masks"              # sub-folder with the masks (white = object), used where it exists
    depths: str = "depths"            # sub-folder with monocular depth of the photos, for loss.depth_order
    depth_kind: Literal["inverse", "depth"] = "inverse"   # inverse: larger values are nearer (disparity)
    depth_model: str = ""             # without that folder: a Depth Anything V2 model on this machine
    resolution: int = -1              # 1, 2, 4, 8: divide by; -1: at most 1600 px wide; else: the width in pixels
    max_width: int = 0                # pixels; wider photos are made smaller; 0 = no limit
    white_background: bool = False    # background behind transparent and masked photos: white instead of black
    premultiplied: bool = True        # photos with masks are on black already; false: cut them out by the masks
    center_principal_point: bool = False   # take the image's middle for it, as the reference does (Q1)
    holdout: bool = True              # keep test views (test.txt, transforms_test.json, else every 8th) out of training
    # Where the photos live: with the Gaussians on the GPU, or on the CPU, sent when needed; auto: there while they fit.
    data_device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class ModelConfig:
    """The Gaussians (spec 2)."""

    sh_degree: int = 3                # final degree of the spherical harmonics, 0 to 3
    sh_storage_start: int = 0         # stored degree before simplification 1
    initial_opacity: float = 0.1      # of Gaussians made from points
    mip_filter: bool = True           # 3D smoothing filter (spec 2.4)
    rasterizer: Literal["radegs", "gof"] = "radegs"   # draws depths and normals: by ray planes, or by exact maxima
    near: float = 0.05                # Gaussians nearer to a camera than this are not drawn ...
    near_unit: Literal["extent", "world"] = "extent"   # ... in this unit (the reference: 0.2 world units, Q4)
    max_gaussians: int = 0            # budget: stop copying, splitting and cloning above it; 0 = none


@dataclass(frozen=True)
class OptimConfig:
    """Learning rates and Adam (spec 2.5, 2.6)."""

    position_lr_init: float = 1.6e-4  # x extent
    position_lr_final: float = 1.6e-6  # x extent, reached at the horizon, log-linear
    position_lr_horizon: int = 30_000  # iterations; longer than the run on purpose (Q42)
    sh_dc_lr: float = 0.0025
    sh_rest_lr: float = 0.000125
    opacity_lr: float = 0.025         # of the logit
    scale_lr: float = 0.005           # of the logarithm
    quat_lr: float = 0.001
    occupancy_lr: float = 0.025       # of the logit
    exposure_lr: float = 0.001        # of loss.appearance = "exposure"
    appearance_embedding_lr: float = 0.001   # of loss.appearance = "network"
    appearance_network_lr: float = 0.001
    dense: bool = False               # every Gaussian takes every step, seen or not (the reference with appearance)
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-15


@dataclass(frozen=True)
class ScheduleConfig:
    """When phases begin (spec 0.1, 2.3, 6)."""

    iterations: int = 18_000
    half_resolution_until: int = 3000  # views of half size up to and including this iteration; 0 = never
    flush_views: bool = True          # drop half-size views left over at the switch (the reference uses them up, Q5)
    depth_normal_from: int = 3000     # depth-normal loss, hence geometry renders, from this iteration on
    sh_steps: tuple[int, ...] = (4000, 5000, 6000)   # iterations at which the active SH degree grows by one
    filter_interval: int = 100        # refresh of the 3D filter, besides one after every change of the set
    step_at_end: bool = True          # optimiser step in the last iteration too (the reference skips it, Q39)


@dataclass(frozen=True)
class DensifyConfig:
    """Growing and thinning out the Gaussians (spec 3)."""

    method: Literal["fast", "regular"] = "fast"   # regular: as usual in the field, on geometry renders alone (3.8)
    from_iter: int = 500              # copy and split after this iteration ...
    interval: int = 100               # ... every so many ...
    until_iter: int = 3000            # ... and before this one
    grad_threshold: float = 2e-4      # mean gradient of the screen position, NDC
    percent_dense: float = 0.01       # x extent; larger Gaussians are split, smaller ones copied
    split_children: int = 2
    split_shrink: float = 1.6         # children have the parent's scale divided by this
    blur_fraction: float = 1 / 5000   # of the pixels; a Gaussian that dominates more is split
    min_opacity: float = 0.005        # fainter Gaussians are removed
    opacity_reset_interval: int = 3000   # method regular: opacities go down to 0.01 each so many; any: from here on ...
    max_scale: float = 0.1            # ... Gaussians larger than this, x extent, are removed at each densification
    clone_from: int = 500             # aggressive clone from this iteration on, 0 = never ...
    clone_interval: int = 250         # ... every so many, before until_iter
    clone_prune_mass: float = 0.999   # importance that survives the prune of a clone pass
    mass: float = 0.99                # importance kept by every other mass rule (3.1)
    reinit_iter: int = 2000           # depth re-initialisation; 0 = never
    reinit_factor: float = 1.0        # points after / Gaussians before
    reinit_max: int = 0               # at most so many points; 0 = no limit
    simplify1_iter: int = 3000        # 0 = never
    simplify2_iter: int = 8000        # 0 = never
    sampling_factor: float = 0.6      # Gaussians drawn at simplification 1 / Gaussians with a score
    importance: Literal["outdoor", "indoor"] = "outdoor"   # outdoor: mean weight per pixel, indoor: summed weight
    dense: bool = False               # importance pruning instead of sampling at both simplifications
    min_views: int = 1                # Gaussians in the 99 % set of at most so many views are removed ...
    few_views: int = 40               # ... with fewer training views than this: of none (Q46)


@dataclass(frozen=True)
class LossConfig:
    """Image losses (spec 2.8, 4.1 to 4.3)."""

    lambda_dssim: float = 0.2
    appearance: Literal["none", "exposure", "network"] = "none"   # what may differ from photo to photo
    random_background: bool = False   # a new colour behind the render in each iteration; opaque things turn opaque
    masked: Literal["background", "ignore"] = "background"   # what masks exclude is the background, or says nothing
    mask_weight: float = 0.0          # of the difference between rendered alpha and the photo's mask, where it has one
    depth_normal_weight: float = 0.05
    depth_normal_expected: float = 0.6   # share of the expected depth; the rest is the median depth's
    depth_order: bool = False         # what monocular depth says is nearer shall be nearer (4.3)
    depth_order_at: tuple[int, ...] = (600, 1500, 3000, 8000, 13_000)   # iterations at which its weight changes ...
    depth_order_weights: tuple[float, ...] = (0.0, 1.0, 0.1, 0.01, 0.001, 0.0001)   # ... from the first to the next


@dataclass(frozen=True)
class MeshConfig:
    """The mesh in the loop (spec 5)."""

    start_iter: int = 8001            # later than the last iteration = no mesh in the loop
    stop_iter: int = 18_000           # resets end here; the losses go on
    every: int = 1                    # evaluate the mesh losses each so many iterations, weights times as much
    max_points: int = 5_400_000       # Delaunay sites, 9 a Gaussian; 0 = no limit
    sampling: Literal["surface", "surface+opacity", "random"] = "surface"   # which Gaussians, if there are more
    foreground: bool = False          # of those alone that lie within an extent of the cameras' middle
    redraw: bool = False              # choose them anew at each triangulation
    delaunay_interval: int = 500
    delaunay_lag: int = 100           # iterations from the pivots' snapshot to its triangulation's use; 0 = wait for it
    long_edges: Literal["drop", "collapse", "keep"] = "drop"   # faces on edges longer than their pivots' radii together
    frustum_filter: bool = False      # lose faces whose vertices all lie outside a picture, as the reference does (Q13)
    sdf_interval: int = 500           # the field is observed and the occupancy reset
    sdf_source: Literal["depth_fusion", "integration"] = "depth_fusion"   # how the field is observed
    sdf_linear: bool = False          # source integration: distances in standard deviations instead of opacities
    sdf_binary_steps: int = 0         # bisections of each crossing edge; 0 = take the field as it is
    sdf_linear_steps: int = 20        # after bisections: passes that make the field linear along crossing edges ...
    sdf_linear_std: float = 0.5       # ... and the standard deviation that it is brought to
    sdf_stop_iter: int = 13_001
    reset_mode: Literal["ema", "none"] = "ema"
    reset_alpha: float = 0.4          # weight of the fused occupancy at an EMA reset
    labels_interval: int = 200
    depth_loss: Literal["log", "normal"] = "log"   # log of the difference, or angle between the normals of the depths
    depth_weight: float = 0.05
    normal_source: Literal["depth", "render"] = "depth"   # normals the mesh is compared with
    normal_weight: float = 0.05
    centers_weight: float = 0.005
    labels_weight: float = 0.005
    label_loss: Literal["parity", "masked"] = "parity"   # parity: mean BCE x share of occupied labels (Q12)
    depth_ratio: float = 1.0          # share of the median depth in the maps compared with the mesh
    detach_splats: bool = False       # these losses move the mesh alone, not what it is compared with
    trunc: float = 0.002              # truncation of depth fusion, x extent
    antialias: bool = True            # silhouette gradients of the mesh depth
    rasterizer: Literal["native", "nvdiffrast"] = "native"   # of the mesh in the losses; nvdiffrast: installed by you
    carve_masks: bool = False         # what the photos' masks call background is free space; with loss.mask_weight
    near: float = 1e-3                # meshes are drawn and judged between these depths ...
    far: float = float("inf")
    depth_unit: Literal["extent", "world"] = "extent"   # ... in this unit (the reference: 0.01 to 100 world units, Q4)


@dataclass(frozen=True)
class ExtractConfig:
    """The final mesh (spec extraction 1.1, 1.2)."""

    method: Literal["learned", "depth_fusion", "integration", "tsdf", "dtu"] = "learned"   # see docs
    rasterizer: Literal["model", "radegs", "gof"] = "gof"   # of depths and fields; model: as in training
    low_pass: float = 0.0             # pixels^2 by which Gaussians are wider in each picture; 3DGS: 0.3
    max_points: int = 0               # Delaunay sites at most; 0 = mesh.max_points
    init: Literal["learned", "depth_fusion", "integration"] = "integration"   # field that the refinement starts from
    refine_iters: int = 1000          # 0 = extract at once
    refine_lr: float = 0.025
    refine_lr_final: float = 0.0      # that of the last step, reached linearly (the reference: 0.025)
    labels_interval: int = 100
    binary_steps: int = 8             # bisections of each edge that crosses the surface (methods and init by a field)
    linear_steps: int = 20            # init by a field: passes that make it linear along crossing edges
    linear_std: float = 0.5           # standard deviation that init by a field is brought to (the reference: 1, Q-3)
    isosurface: float = 0.5           # opacity at which the integrated field is cut
    drop_unseen: bool = True          # what lies outside all photos is air: nobody knows what is there
    air_opacity: float = 0.5          # method learned: pivots up to which views gather less are air; 0 = as learned


@dataclass(frozen=True)
class TsdfConfig:
    """Fusion of rendered depths in a regular grid (spec extraction 1.3). Lengths are in world units."""

    median_share: float = 0.4         # of the fused depth; the rest is the expected depth's
    radius_factor: float = 2.0        # depth_max / distance of the nearest camera from what all look at
    depth_max: float = 0.0            # depths beyond it are not fused; 0 = by radius_factor
    resolution: int = 1024            # voxels in depth_max
    voxel: float = 0.0                # 0 = by resolution
    truncation: float = 5.0           # voxels
    min_weight: int = 1               # views that must judge every corner of a cell
    min_alpha: float = 0.0            # pixels with less are empty
    pixel_shift: float = 0.0          # of the principal point, pixels
    clusters: int = 50                # connected parts kept, the largest; 0 = all
    min_cluster: int = 50             # faces of a kept part


@dataclass(frozen=True)
class DtuConfig(TsdfConfig):
    """The same for captures in DTU's frame (spec extraction 1.4)."""

    median_share: float = 1.0
    depth_max: float = 8.0
    voxel: float = 0.002
    truncation: float = 8.0
    min_weight: int = 3
    min_alpha: float = 0.5
    pixel_shift: float = 0.5          # as the published table; 0 puts pixels where the photos have them
    clusters: int = 0


@dataclass(frozen=True)
class RegionConfig:
    """The region of interest: outside of it there are no pivots and there is no mesh."""

    box: tuple[float, ...] = ()       # 16 numbers by rows: from the cube -1..1 (an Empty cube) to the world; () = all
    margin: float = 0.1               # Gaussians carry pivots to so far outside, of the box's half sides
    keep_background: bool = True      # splats.ply keeps the Gaussians outside; they are trained in any case


@dataclass(frozen=True)
class RunConfig:
    """How a run behaves; nothing here changes the method."""

    seed: int = 0
    threads: int = 0                  # CPU threads; 0 = all cores
    # Before new Gaussians are drawn (at 2000, 3000 and 8000), not after: they are faint at first.
    evaluate_at: tuple[int, ...] = (2900, 7900)      # PSNR on the held-out views, besides the end
    provisional_at: tuple[int, ...] = (1000, 1900, 2900, 4000, 6000)   # mesh by depth fusion, before the mesh loop ...
    provisional_points: int = 200_000                # ... of at most so many pivots: quick, and fine enough to look at
    snapshot_interval: int = 250      # iterations between live meshes in the mesh loop
    checkpoint_interval: int = 2000   # iterations; 0 = only on stop and at the phase's end
    keep_checkpoints: int = 2
    preview_width: int = 320          # pixels of a snapshot's picture
