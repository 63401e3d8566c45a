# SPDX-License-Identifier: Apache-2.0
"""Splats on meshes that Blender itself has deformed, picture by picture: the evaluated mesh is read by the extension,
saved, bound and drawn by the backend, and compared with Gaussians put there by hand.

The pictures lie in pytest's folder, `following0/` (`--basetemp` chooses where): each ours beside what it must be, and
all of them in sheet.png.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from milo.backend.editing.animation import Player
from milo.backend.editing.binding import Source
from milo.backend.rendering.splats import render_view
from milo.protocol.surfaces import Animation

HERE = Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("scenes", HERE.parent / "backend" / "editing" / "conftest.py")
scenes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(scenes)

BONES = 41        # of the bar that is bent
TWO = (2.3, 0, 0)   # where the second of two is


def transform(axis, degrees, move=(0, 0, 0)):
    W = np.eye(4)
    W[:3, :3], W[:3, 3] = scenes.rotation(axis, degrees), move
    return W


def under(splats, W):
    """Gaussians under a similarity W [4, 4], put there by hand."""
    A, t = torch.tensor(W[:3, :3], dtype=torch.float32), torch.tensor(W[:3, 3], dtype=torch.float32)
    return scenes.placed(splats, splats.means @ A.T + t, A.expand(len(splats.means), 3, 3))


def joined(a, b):
    return type(a)(*(torch.cat([x, y]) if isinstance(x, torch.Tensor) else x for x, y in zip(a, b)))


def kept(splats, rows):
    return type(splats)(*(v[rows] if isinstance(v, torch.Tensor) else v for v in splats))


def bone_places():
    """Where the bones of the bar go: each is tangent to the circle that the bar is bent around."""
    places = []
    for x in np.linspace(-2, 2, BONES):
        there = scenes.bend(torch.tensor([[x, 0.0, 0.0]]))[0][0].numpy()
        places.append(transform((0, 1, 0), -math.degrees(x / 2), there) @ transform((0, 1, 0), 0, (-x, 0, 0)))
    return np.stack(places)


@pytest.fixture(scope="module")
def ball():
    """A ball with stripes and highlights, some of its Gaussians far off."""
    verts, faces = scenes.sphere(36, 54)
    splats = scenes.scatter(verts, faces, 6000, off=0.004, size=0.07)
    splats.means[:50] *= 1.2
    x, y, z = splats.means.T
    stripes = torch.stack([1.2 * torch.sin(7 * z), 1.2 * torch.cos(4 * torch.atan2(y, x)), x], 1)
    splats = splats._replace(sh_dc=stripes, sh_rest=0.4 * splats.sh_rest)
    return verts, faces, Source.of(splats, verts, faces)


class Drawn:
    """What Blender has saved, drawn with splats."""

    def __init__(self, room, ball, bar):
        self.room, self.ball, self.bar, self.figures = room, ball, bar, {}

    def frame(self, case, at=0):
        """The picture [H, W, 3] of a case, and its camera."""
        with Animation(self.room / f"{case}.npz") as animation:
            frame = animation[at]
            source = self.bar if case == "bar" else self.ball
            picture = Player({1: source}, "cpu", {"near": 0.01}).rgba(frame, animation.size, "black")
            camera = (torch.from_numpy(np.array(value, np.float32)) for value in (frame.viewmat, frame.K))
            return torch.from_numpy(picture).float() / 255, (*camera, animation.size)

    def psnr(self, case, expected, world=None, at=0):
        """How well it fits what `expected` Gaussians look like, the camera moved the other way by `world`."""
        picture, (viewmat, K, size) = self.frame(case, at)
        if world is not None:
            viewmat = viewmat @ torch.tensor(world, dtype=torch.float32)
        truth = render_view(expected, viewmat, K, size, near=0.01).image.permute(1, 2, 0)
        assert truth.amax(2).gt(0.05).float().mean() > 0.05
        figure = scenes.psnr(picture, truth)
        self.figures[case] = figure
        pair = (torch.cat([picture, truth], 1) * 255 + 0.5).clamp(0, 255).byte().numpy()
        Image.fromarray(pair).save(self.room / f"{case}.png")
        return figure

    def sheet(self):
        """All pictures on one, three beside one another."""
        pictures = [(name, Image.open(self.room / f"{name}.png")) for name in self.figures]
        width, height = (pictures[0][1].width + 8, pictures[0][1].height + 24)
        rows = -(-len(pictures) // 3)
        sheet = Image.new("RGB", (3 * width, rows * height), (24, 24, 28))
        for at, (name, picture) in enumerate(pictures):
            x, y = at % 3 * width, at // 3 * height
            sheet.paste(picture, (x + 4, y + 18))
            ImageDraw.Draw(sheet).text((x + 6, y + 4), f"{name}   {self.figures[name]:.1f} dB", (230, 230, 230))
        sheet.save(self.room / "sheet.png")


@pytest.fixture(scope="module")
def drawn(bpy, ball, tmp_path_factory):
    room = tmp_path_factory.mktemp("following")
    bar_verts, bar_faces, bar = scenes.bar_of_gaussians()
    x, y, _ = bar.means.T
    bar = bar._replace(scales=1.5 * bar.scales, sh_dc=torch.stack([torch.sin(7 * x), torch.cos(5 * x), 4 * y], 1))
    np.savez(room / "given.npz", verts=ball[0], faces=ball[1], bar_verts=bar_verts, bar_faces=bar_faces,
             similarity=scenes.similarity(), bone_places=bone_places())
    run = bpy.run(str(HERE / "inside" / "deform_meshes.py"), str(room))
    assert "DEFORMED" in run.stdout, run.stdout
    drawn = Drawn(room, ball[2], Source.of(bar, bar_verts, bar_faces))
    yield drawn
    drawn.sheet()


# 8-bit pictures reach 58 dB.
@pytest.mark.parametrize("case", ["rest", "joined", "solidify"])
def test_what_does_not_move_the_surface_changes_nothing(drawn, case):
    assert drawn.psnr(case, drawn.ball.splats) > 50


@pytest.mark.parametrize("case", ["object", "applied"])
def test_a_moved_object_is_the_camera_moved_the_other_way(drawn, case):
    """Turned by 137 degrees, scaled by 1.7 and moved; then with Apply Transforms."""
    assert drawn.psnr(case, drawn.ball.splats, scenes.similarity()) > 50


@pytest.mark.parametrize("case", ["subsurf", "decimate"])
def test_other_triangles_carry_the_same_splats(drawn, case):
    """The modifiers move the surface itself a little, and the Gaussians with it."""
    assert drawn.psnr(case, drawn.ball.splats) > 40


def test_an_array_copies_the_splats(drawn):
    splats = drawn.ball.splats
    assert drawn.psnr("array", joined(splats, under(splats, transform((1, 0, 0), 0, TWO)))) > 50


def test_two_objects_at_once(drawn):
    splats = drawn.ball.splats
    assert drawn.psnr("two", joined(splats, under(splats, transform((1, 0, 0), math.degrees(1), TWO)))) > 50


def test_half_of_the_faces_deleted(drawn):
    """What belongs to the other half stays, what belonged to this one is gone; on the border there is some of both."""
    splats, x = drawn.ball.splats, drawn.ball.anchors.points[:, 0]
    assert drawn.psnr("half", kept(splats, x > 0)) > 30
    picture, (viewmat, K, _) = drawn.frame("half")
    whole, _ = drawn.frame("rest")
    middle = round(float((K @ (viewmat @ torch.tensor([0.0, -1, 0, 1]))[:3] / 6)[0]))
    gone, there = slice(0, middle - 16), slice(middle + 16, None)
    assert (picture[:, gone] > 0.02).any(2).float().mean() < 0.05 * (whole[:, gone] > 0.02).any(2).float().mean()
    assert scenes.psnr(picture[:, there], whole[:, there]) > 35


def test_an_animated_bone_turns_all(drawn):
    assert drawn.psnr("armature", drawn.ball.splats, transform((0, 0, 1), 50), at=1) > 50
    with Animation(drawn.room / "armature.npz") as animation:
        assert animation.numbers == [1, 6, 11] and animation[0].surface.hash == animation[2].surface.hash


def test_a_bar_bent_by_an_armature(drawn):
    """41 bones around a circle: Gaussians are where the circle puts them, turned and stretched as it does."""
    splats = drawn.bar.splats
    means, J = scenes.bend(splats.means)
    assert drawn.psnr("bar", scenes.placed(splats, means, J)) > 40
