# SPDX-License-Identifier: GPL-3.0-or-later
"""Bones fitted to a body, as plain numbers: a chain along its middle, a biped and a quadruped to adjust.

All points are in the world: z up, lengths in metres. A body that looks along -y has its left side at +x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

UP = np.array([0.0, 0.0, 1.0])
FACING = {"-Y": (0, -1, 0), "+X": (1, 0, 0), "+Y": (0, 1, 0), "-X": (-1, 0, 0)}
SPREAD = 0.2, 99.8  # percentiles of what fills a body that are its ends: floaters and flaps are not part of it
ARM = 0.44  # from the shoulder to the fingertips, of the height
SHOULDER = 0.81  # height of the shoulders, of the whole


class Bone(NamedTuple):
    """A bone from head to tail [3] in the world. It is joined to its parent where that ends."""

    name: str
    head: np.ndarray
    tail: np.ndarray
    parent: str = ""


def chain(points: np.ndarray, count: int, axis: np.ndarray | None = None) -> list[Bone]:
    """A chain through the centres of slices across an axis [3], or the longest one, of a body that fills `points`
    [P, 3]."""
    middle = points.mean(axis=0)
    if axis is None:
        axis = np.linalg.eigh(np.cov((points - middle).T))[1][:, -1]
        axis *= np.sign(axis[2] if abs(axis[2]) > 0.3 else axis[np.abs(axis).argmax()])  # upward, else along +x or +y

    along = (points - middle) @ axis
    ends = np.percentile(along, SPREAD)
    stops = np.linspace(*ends, count + 1)
    half = (stops[1] - stops[0]) / 2
    slices = np.clip(stops, stops[0] + half, stops[-1] - half)  # the ends lie where the outer slices are centred
    found = []
    for stop, at in zip(stops, slices):
        near = np.abs(along - at) <= half
        if near.any():
            off = (points[near] - middle).mean(axis=0)
            found.append((stop, *(off - (off @ axis) * axis)))
    found = np.array(found)
    joints = [middle + stop * axis + [np.interp(stop, found[:, 0], found[:, 1 + k]) for k in range(3)]
              for stop in stops]
    names = [f"chain.{number:02d}" for number in range(1, count + 1)]
    return [Bone(name, joints[k], joints[k + 1], names[k - 1] if k else "") for k, name in enumerate(names)]


def biped(points: np.ndarray, facing: str = "") -> list[Bone]:
    """A body on two legs in the bounding box of points [P, 3] that fill it. The arms reach its sides: stretched out in
    a wide box, hanging in a narrow one."""
    box = Box(points, facing, length_is_across=True)
    wide, tall = box.half[0], box.size[2]
    shoulder, hip = min(0.11 * tall, 0.7 * wide), min(0.055 * tall, 0.4 * wide)
    reach = ARM * tall
    drop = np.sqrt(max(reach**2 - (wide - shoulder) ** 2, 0.0))
    trunk = [("hips", 0.50), ("spine", 0.58), ("chest", 0.68), ("neck", 0.83), ("head", 0.88), ("", 1.0)]
    bones = [Bone(name, box.at(0, 0, height * tall), box.at(0, 0, trunk[k + 1][1] * tall), trunk[k - 1][0] if k else "")
             for k, (name, height) in enumerate(trunk[:-1])]
    for side, sign in ((".L", 1), (".R", -1)):
        root, tip = np.array([shoulder, 0, SHOULDER * tall]), np.array([wide, 0, SHOULDER * tall - drop])
        arm = [(0.2 * shoulder, 0, 0.8 * tall), *(root + share * (tip - root) for share in (0, 0.42, 0.8, 1))]
        leg = [(hip, 0, 0.5 * tall), (hip, -0.05 * box.half[1], 0.27 * tall), (hip, 0, 0.05 * tall),
               (hip, -0.8 * box.half[1], 0.0)]
        bones += limb(box, sign, side, ("shoulder", "upper_arm", "forearm", "hand"), arm, "chest")
        bones += limb(box, sign, side, ("thigh", "shin", "foot"), leg, "hips")
    return bones


def quadruped(points: np.ndarray, facing: str = "") -> list[Bone]:
    """A body on four legs in the bounding box of points [P, 3] that fill it, with neck, head and tail."""
    box = Box(points, facing, length_is_across=False)
    wide, half, tall = *box.half[:2], box.size[2]

    def spine(names: tuple[str, ...], points: list[tuple[float, float]], parent: str) -> list[Bone]:
        return limb(box, 1, "", names, [(0, y * half, z * tall) for y, z in points], parent)

    bones = spine(("hips", "spine", "chest", "neck", "head"),
                  [(0.5, 0.66), (0.2, 0.68), (-0.1, 0.68), (-0.4, 0.68), (-0.68, 0.85), (-1, 0.88)], "")
    bones += spine(("tail", "tail_tip"), [(0.5, 0.66), (0.75, 0.6), (1, 0.5)], "hips")
    for side, sign in ((".L", 1), (".R", -1)):
        for names, start, parent in ((("front_thigh", "front_shin", "front_foot"), -0.42, "chest"),
                                     (("thigh", "shin", "foot"), 0.48, "hips")):
            points = [(0.5 * wide, (start + y) * half, z * tall) for y, z in
                      ((0, 0.6), (0.03, 0.32), (0, 0.07), (-0.1, 0))]
            bones += limb(box, sign, side, names, points, parent)
    return bones


def limb(box: Box, sign: int, side: str, names: tuple[str, ...], points: list, parent: str) -> list[Bone]:
    """Bones through points (across, back, up) of a box, mirrored for the right side."""
    joints = [box.at(sign * x, y, z) for x, y, z in points]
    return [Bone(name + side, joints[k], joints[k + 1], names[k - 1] + side if k else parent)
            for k, name in enumerate(names)]


class Box:
    """The bounding box of a body: half sizes across and along it, its height, and points in it."""

    def __init__(self, points: np.ndarray, facing: str, length_is_across: bool):
        low, high = np.percentile(points, SPREAD, axis=0)
        if not facing:
            facing = "-Y" if (high[0] - low[0] >= high[1] - low[1]) == length_is_across else "+X"
        self.forward = np.array(FACING[facing], float)
        self.left = np.cross(UP, self.forward)
        self.bottom = np.array([*(low + high)[:2] / 2, low[2]])
        self.size = np.array([np.abs(self.left) @ (high - low), np.abs(self.forward) @ (high - low), high[2] - low[2]])
        self.half = self.size / 2

    def at(self, across: float, back: float, up: float) -> np.ndarray:
        return self.bottom + across * self.left - back * self.forward + up * UP
