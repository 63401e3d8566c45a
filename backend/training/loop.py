# SPDX-License-Identifier: Apache-2.0
"""The training loop, one iteration at a time (spec training.md 0.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.config import Config
from milo.backend.data.depth_priors import depth_priors
from milo.backend.data.scene import Scene, View
from milo.backend.gaussians import densify
from milo.backend.gaussians.model import Gaussians
from milo.backend.gaussians.optimizer import SparseAdam
from milo.backend.gaussians.pivot_choice import PIVOTS, PivotChoice, choose_pivots, pivot_limit
from milo.backend.gaussians.population import Population
from milo.backend.gaussians.scores import Scores, score_views
from milo.backend.mesh.events import mesh_events
from milo.backend.mesh.loop import MeshAhead, MeshInLoop
from milo.backend.mesh.region import Region, region_of
from milo.backend.rendering.meshes import require_rasterizer
from milo.backend.rendering.scale import scene_scale
from milo.backend.rendering.splats import Splats, place_splats, render_geometry
from milo.cuda_ext.depth_normals import depth_normal_loss
from milo.cuda_ext.splats import PlacedGeometry, rasterize_train

from . import schedule
from .checkpoint import on_device
from .depth_order import DepthOrder, weight_at
from .errors import TrainingError
from .photo_loss import PhotoLoss
from .photo_stream import photo_device
from .sdf_source import occupancy_source
from .views import ViewStack, stacked


class Step(NamedTuple):
    """What one iteration did."""

    iteration: int
    terms: dict[str, Tensor]   # scalars, weighted; together they are the loss
    vertices: int              # of the mesh in this iteration; 0 if it was not evaluated

    @property
    def loss(self) -> Tensor:
        """Scalar, all terms."""
        return torch.stack(list(self.terms.values())).sum()


class Training:
    """Everything that changes from iteration to iteration.

    Args:
        scene: posed photos and points.
        config: the whole configuration.
        device: where the Gaussians and the photos live.
        on_event: called with (iteration, name) as things happen; the names are those of `schedule.timeline`.
    """

    def __init__(self, scene: Scene, config: Config, device: str | torch.device = "cpu",
                 on_event: Callable[[int, str], None] = lambda k, name: None):
        self.device = torch.device(device)
        require_rasterizer(config.mesh.rasterizer, self.device)
        scene = scene.to(self.device, photo_device(config.data.data_device, scene.train + scene.test, self.device))
        self.scene, self.config, self.on_event = scene, config, on_event
        self.scale = scene_scale(config, scene.extent)
        self.generator = torch.Generator().manual_seed(config.run.seed)
        self.views = ViewStack(scene.train, config.schedule.flush_views, self.generator, self.device)
        self.background = torch.full((3,), 1.0 if config.data.white_background else 0.0, device=self.device)
        self.photo_loss = PhotoLoss(config, scene.train, self.background, self.generator)
        if config.loss.depth_order:
            priors = depth_priors(scene.path, scene.train, config.data, self.device)
            self.depth_order = DepthOrder(priors, self.scale.extent, config.run.seed)
        points = torch.from_numpy(scene.points).to(self.device, torch.float32)
        colors = torch.from_numpy(scene.colors).to(self.device, torch.float32) / 255
        gaussians = self._new_gaussians(points, colors, config.model.sh_storage_start)
        self.population = Population(gaussians, SparseAdam(gaussians, config.optim, self.scale.extent))
        self.mesh = MeshInLoop(config.mesh, scene.train, self.scale, self._choose_pivots,
                               occupancy_source(config, scene.train, self.scale))
        self.one = torch.ones((), device=self.device)   # the gradient of each term of the loss
        self.iteration = 0
        self._refresh_filter(schedule.events(config, 1).half)

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now."""
        return self.population.gaussians

    # -- one iteration -----------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Run the next iteration."""
        k = self.iteration + 1
        now = schedule.events(self.config, k)
        if now.raise_sh:
            self.gaussians.sh_degree = min(self.gaussians.sh_degree + 1, self.gaussians.storage_degree)
            self.on_event(k, "sh")
        view, background = self.views.draw(now.half), self.photo_loss.background()
        splats = self.gaussians.splats()
        screen = torch.zeros_like(splats.means, requires_grad=True) if now.gather else None
        if now.geometry:
            terms, radii, vertices = self._geometry_losses(splats, view, background, k, now, screen)
            area_max = None
        else:
            terms, radii, area_max = self._image_losses(splats, view, background, k, screen)
            vertices = 0
        learned = [term for term in terms.values() if term.requires_grad]
        with torch.autograd.set_multithreading_enabled(False):   # a second thread costs more
            torch.autograd.backward(learned, [self.one] * len(learned))
        with torch.no_grad():
            if screen is not None:
                blur_area = self.config.densify.blur_fraction * view.camera.height * view.camera.width
                self.population.statistics.gather(view.uid, screen.grad, radii, area_max, blur_area)
            if now.changes_set:
                self._change_set(k, now)
            if now.reset_opacity:
                densify.reset_opacities(self.population)
                self.on_event(k, "reset_opacity")
            if now.refilter:
                self._refresh_filter(now.half, k)
            if now.step and now.changes_set:
                self.on_event(k, "skipped step")   # new tensors have no gradients
            elif now.step:
                self.population.optimizer.step(self.gaussians, self._touched(radii), k)
            if now.step:
                self.photo_loss.step()
        self.iteration = k
        return Step(k, {name: term.detach() for name, term in terms.items()}, vertices)

    def _touched(self, radii: Tensor) -> Tensor:
        """[N] above 0: Gaussians that take the step of this iteration, by their radii in its render (2.6)."""
        return torch.ones_like(radii) if self.config.optim.dense else radii

    def _image_losses(self, splats: Splats, view: View, background: Tensor, k: int, screen: Tensor | None):
        """Losses on the colours alone; radii [N]; pixels [N] that each Gaussian dominates."""
        camera = view.camera
        rendered = rasterize_train(
            splats.means, splats.scales, splats.quats, splats.opacities, splats.sh_dc, splats.sh_rest, camera.viewmat,
            camera.K, camera.size, sh_degree=splats.sh_degree, background=background, near=self.scale.splat_near,
            screen_grad=screen, cull=self.population.statistics.cull(view.uid))
        terms = {"photometric": self.photo_loss(rendered.image, view, background)}
        weight = weight_at(self.config.loss, k)
        if weight:   # this rasteriser gives no depth, so the other one does
            maps = render_geometry(splats, camera, near=self.scale.splat_near, screen_grad=screen,
                                   rasterizer=self.scale.rasterizer)
            terms["depth_order"] = weight * self.depth_order(maps, view.uid, k)
        return terms, rendered.radii, rendered.area_max

    def _geometry_losses(self, splats: Splats, view: View, background: Tensor, k: int, now: schedule.Events,
                         screen: Tensor | None):
        """Losses on colours, depths and normals, and on the mesh; radii [N]; vertices of the mesh."""
        config = self.config.loss
        placed = place_splats(splats, view.camera, near=self.scale.splat_near, rasterizer=self.scale.rasterizer)
        ahead = self._mesh_ahead(splats, k) if now.mesh else None
        mesh_counts = None if ahead is None else _read_sizes(placed, ahead)
        rendered = render_geometry(splats, view.camera, background, near=self.scale.splat_near,
                                   screen_grad=screen, rasterizer=self.scale.rasterizer, placed=placed)
        terms = {"photometric": self.photo_loss(rendered.image, view, background)}
        if now.depth_normal:
            terms["depth_normal"] = depth_normal_loss(
                rendered.normal, rendered.median_depth, rendered.expected_depth, view.camera.exact.K,
                config.depth_normal_expected, config.depth_normal_weight)
        if view.mask is not None and config.mask_weight > 0:
            mask = view.mask.to(self.device, torch.float32) / 255
            terms["mask"] = config.mask_weight * (rendered.alpha - mask).abs().mean()
        weight = weight_at(config, k)
        if weight:
            terms["depth_order"] = weight * self.depth_order(rendered, view.uid, k)
        if ahead is None:
            return terms, rendered.radii, 0
        mesh = self.mesh.losses(ahead, view, rendered, mesh_counts)
        return terms | mesh.terms, rendered.radii, mesh.vertices

    def _mesh_ahead(self, splats: Splats, k: int) -> MeshAhead:
        for name, happens in mesh_events(self.config.mesh, k)._asdict().items():
            if happens:
                self.on_event(k, name)
        return self.mesh.begin(self.gaussians, splats, k)

    # -- changes of the set (3.7) ------------------------------------------------------------------------------------

    def _change_set(self, k: int, now: schedule.Events) -> None:
        config, population = self.config, self.population
        budget = config.model.max_gaussians
        if now.densify:
            densify.densify_and_prune(population, config.densify, self.scale.extent, self.generator, budget,
                                      now.drop_large)
            self._changed(k, "densify", now.half)
        if now.reinit:
            self._reinitialise(k, now.half)
        if now.clone:
            densify.clone_pass(population, self._scores(now.half), config.densify, len(self.views.full), budget)
            self._changed(k, "clone", now.half)
        if now.simplify1:
            densify.simplify(population, self._scores(now.half), config.densify, len(self.views.full), self.generator)
            if self.gaussians.storage_degree < config.model.sh_degree:
                self.gaussians.grow_sh(config.model.sh_degree)
            population.restart(self.gaussians)
            self.photo_loss.restart()
            self._changed(k, "simplify1", now.half)
        if now.simplify2:
            densify.simplify(population, self._scores(now.half), config.densify, len(self.views.full))
            self._changed(k, "simplify2", now.half)
        self.mesh.invalidate()

    def _reinitialise(self, k: int, half: bool) -> None:
        config, population, views = self.config.densify, self.population, self.views.at(half)
        wanted = int(len(population) * config.reinit_factor)
        if config.reinit_max:
            wanted = min(wanted, config.reinit_max)
        scores = self._scores(half, population.statistics.culled)
        densify.prune_intersections(population, scores, config)
        self._changed(k, "reinit", half)
        points, colors = densify.depth_points(
            self.gaussians.splats().detach(), views, population.statistics.culled, max(1, wanted // len(views)),
            self.scale.splat_near, self.background, self.generator, self.config.loss.masked == "ignore")
        if not len(points):
            raise TrainingError(f"The Gaussians are all transparent at iteration {k}: there is nothing to start anew "
                                "from. The photos and the cameras do not seem to belong together; check the scene.")
        population.restart(self._new_gaussians(points, colors, self.gaussians.storage_degree))
        self.photo_loss.restart()
        self._refresh_filter(half, k)

    def _changed(self, k: int, name: str, half: bool) -> None:
        if not len(self.gaussians):
            raise TrainingError(f"No Gaussian is left after `{name}` of iteration {k}. The photos and the cameras do "
                                "not seem to belong together; check the scene, or start from more points.")
        self.on_event(k, name)
        self._refresh_filter(half, k)

    def _new_gaussians(self, points: Tensor, colors: Tensor, storage_degree: int) -> Gaussians:
        return Gaussians.from_points(points, colors, opacity=self.config.model.initial_opacity,
                                     storage_degree=storage_degree)

    def _scores(self, half: bool, culled: Tensor | None = None) -> Scores:
        cameras = [view.camera for view in self.views.at(half)]
        return score_views(self.gaussians.splats().detach(), cameras, importance=self.config.densify.importance,
                           mass=self.config.densify.mass, near=self.scale.splat_near, culled=culled)

    def _refresh_filter(self, half: bool, k: int = 0) -> None:
        if self.config.model.mip_filter:
            cameras = [view.camera for view in self.views.at(half)]
            self.gaussians.refresh_filter(*stacked(cameras), self.scale.splat_near)
            self.on_event(k, "filter")

    def _choose_pivots(self) -> PivotChoice | None:
        limit, candidates, region = pivot_limit(self.config.mesh), None, region_of(self.config)
        if self.config.mesh.foreground:
            candidates = self._foreground()
        if region is not None:
            inside = self._inside(region)
            candidates = inside if candidates is None else candidates & inside
        count = len(self.gaussians) if candidates is None else int(candidates.sum())
        among = None if region is None else count
        if limit is None or count <= limit:
            return None if candidates is None else PivotChoice(candidates.nonzero().squeeze(1), None, among)
        config = self.config.densify
        min_views = 0 if len(self.views.full) < config.few_views else config.min_views
        chosen = choose_pivots(self.gaussians.splats().detach(), self._scores(half=False), self.config.mesh, min_views,
                               self.generator, candidates)
        if not len(chosen.rows):
            raise TrainingError(f"No Gaussian is seen by more than {min_views} photos, so none can carry the mesh. The "
                                "photos overlap too little; add photos, or set densify.min_views=0.")
        return chosen._replace(candidates=among)

    def _inside(self, region: Region) -> Tensor:
        """[N] bool: Gaussians in the region of interest, or near it."""
        inside = region.contains(self.gaussians.means.detach(), self.config.region.margin)
        if not inside.any():
            raise TrainingError("No Gaussian lies in the region of interest, so there is nothing to make a mesh of. "
                                "Move the box over the subject, or set region.box=[] for all of the scene.")
        return inside

    def _foreground(self) -> Tensor:
        """[N] bool: Gaussians within an extent of the cameras' middle."""
        middle = torch.stack([view.camera.center for view in self.views.full]).mean(0)
        inside = (self.gaussians.means.detach() - middle).norm(dim=1) <= self.scale.extent
        if not inside.any():
            raise TrainingError("No Gaussian lies within an extent of the cameras' middle, so none can carry the mesh. "
                                "Set mesh.foreground=false.")
        return inside

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Plain tensors, numbers, lists and dicts that make `load_state_dict` go on exactly here."""
        return {"iteration": self.iteration, "sh_degree": self.gaussians.sh_degree,
                "gaussians": self.gaussians.tensors(), "optimizer": self.population.optimizer.state_dict(),
                "statistics": self.population.statistics.state_dict(), "views": self.views.state_dict(),
                "generator": self.generator.get_state(), "photos": self.photo_loss.state_dict(),
                "mesh": self.mesh.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict, for the same scene and configuration, on whatever device it was made."""
        self.generator.set_state(state["generator"])   # a generator of the CPU, wherever the Gaussians are
        state = on_device(state, self.device)
        self.iteration = state["iteration"]
        gaussians = Gaussians(state["gaussians"], state["sh_degree"])
        self.population.restart(gaussians)
        self.population.optimizer.load_state_dict(state["optimizer"])
        self.population.statistics.load_state_dict(state["statistics"])
        self.views.load_state_dict(state["views"])
        self.photo_loss.load_state_dict(state["photos"])
        chosen = state["mesh"].get("chosen")
        self.mesh.load_state_dict(state["mesh"], PIVOTS * (len(gaussians) if chosen is None else len(chosen)))


def _read_sizes(placed: PlacedGeometry | None, ahead: MeshAhead) -> list[int] | None:
    """The sizes that decide how much memory the mesh and the render need: the one wait for the GPU of an iteration."""
    if placed is None or placed.count is None or ahead.surface.counts is None:
        return None
    placed.pairs, *counts = torch.cat([placed.count, ahead.surface.counts]).tolist()
    return counts
