# SPDX-License-Identifier: GPL-3.0-or-later
"""Something to see at once: a test pose, a wave as an action, and a camera that goes around the object."""

from __future__ import annotations

import math
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from .rig import world_mesh

KEPT = "milo_pose"  # custom property of an armature in the test pose: the pose it had before
TURNTABLE = "milo_turntable"  # custom property of our camera and the Empty that it hangs on
KEY_EVERY = 3  # frames
ROOM = 1.1  # around what the turntable's camera shows
BEND, EACH = 72.0, 18.0  # of a whole chain, and of a bone of it at most: degrees
LAG = 0.12  # of a bone of a chain behind its parent: share of a cycle


class Swing(NamedTuple):
    """How a bone turns about an axis of the body: degrees in the test pose; in the wave, degrees throughout, degrees to
    and fro, and the share of a cycle that it lags behind."""

    axis: str
    test: float
    rest: float = 0.0
    wave: float = 0.0
    lag: float = 0.0


SWINGS = {
    "chest": Swing("up", 15, 0, 4),
    "head": Swing("up", 30, 0, 8, 0.1),
    "upper_arm.L": Swing("forward", 50, 0, 6, 0.2),
    "forearm.L": Swing("left", -60),
    "upper_arm.R": Swing("forward", -50, -75, 8),
    "forearm.R": Swing("forward", -40, -35, 30, 0.1),
    "hand.R": Swing("forward", -10, 0, 20, 0.25),
    "thigh.L": Swing("left", -50),
    "shin.L": Swing("left", 60),
    "thigh.R": Swing("left", 15),
    "front_thigh.L": Swing("left", -30),
    "front_shin.L": Swing("left", 40),
    "front_thigh.R": Swing("left", 20),
    "neck": Swing("left", 12, 0, 8),
    "tail": Swing("up", 25, 0, 25),
    "tail_tip": Swing("up", 25, 0, 25, 0.15),
}


def swings(armature: bpy.types.Object) -> dict[str, tuple[Vector, Swing]]:
    """The bones that move, each with its axis in the armature's space. Armatures whose bones have other names than our
    templates bend like a chain, bone after bone, from a first one that stays."""
    bones = armature.data.bones
    names = {*bones.keys()}
    pair = next((stem for stem in ("upper_arm", "front_thigh", "thigh") if {f"{stem}.L", f"{stem}.R"} <= names), None)
    if pair:
        left = bones[f"{pair}.L"].head_local - bones[f"{pair}.R"].head_local
        left = Vector((left.x, left.y, 0)).normalized()
        axes = {"left": left, "up": Vector((0, 0, 1)), "forward": left.cross((0, 0, 1))}
        return {bone.name: (axes[SWINGS[bone.name].axis], SWINGS[bone.name]) for bone in bones if bone.name in SWINGS}
    found, bend = {}, min(EACH, BEND / len(bones))
    for bone in bones:
        level = bone.vector.cross((0, 0, 1)) if not bone.parent else None
        if bone.parent:
            axis = found[bone.parent.name][0]
        elif level.length > 0.3 * bone.vector.length:
            axis = level.normalized()
        else:
            axis = Vector((0, 1, 0))
        found[bone.name] = axis, Swing("", bend, 0, bend, LAG * len(bone.parent_recursive))
    return {name: moves for name, moves in found.items() if bones[name].parent or len(bones) == 1}


def turned(bone: bpy.types.Bone, axis: Vector, degrees: float) -> Quaternion:
    """A pose rotation about an axis of the armature's space."""
    return Quaternion(bone.matrix_local.to_3x3().inverted() @ axis, math.radians(degrees))


def in_test_pose(armature: bpy.types.Object) -> bool:
    return KEPT in armature


def toggle_test_pose(armature: bpy.types.Object) -> None:
    """Pose every bone so that bad weights show, or give back the pose of before."""
    if in_test_pose(armature):
        kept = armature[KEPT].to_dict()
        for bone in armature.pose.bones:
            if bone.name in kept:
                bone.matrix_basis = Matrix(np.reshape(kept[bone.name], (4, 4)).tolist())
        del armature[KEPT]
        return
    armature[KEPT] = {bone.name: [value for row in bone.matrix_basis for value in row] for bone in armature.pose.bones}
    for name, (axis, swing) in swings(armature).items():
        bone = armature.pose.bones[name]
        bone.matrix_basis = turned(bone.bone, axis, swing.test).to_matrix().to_4x4()


def add_wave(scene: bpy.types.Scene, armature: bpy.types.Object, frames: int, cycles: int,
             strength: float = 1.0) -> bpy.types.Action:
    """A new action of the armature from the scene's first frame, which goes on forever. An action that it had stays in
    the file."""
    if in_test_pose(armature):
        toggle_test_pose(armature)
    animation = armature.animation_data_create()
    if animation.action is not None:
        animation.action.use_fake_user = True
    animation.action = bpy.data.actions.new("Wave")
    steps = max(8 * cycles, frames // KEY_EVERY)
    for name, (axis, swing) in swings(armature).items():
        if not (swing.wave or swing.rest):
            continue
        bone = armature.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        for step in range(steps + 1):
            phase = cycles * step / steps - swing.lag
            angle = strength * (swing.rest + swing.wave * math.sin(2 * math.pi * phase))
            bone.rotation_quaternion = turned(bone.bone, axis, angle)
            bone.keyframe_insert("rotation_quaternion", frame=scene.frame_start + frames * step / steps)
    for curve in curves_of(armature):
        curve.modifiers.new("CYCLES")
    scene.frame_set(scene.frame_current)
    return animation.action


def add_turntable(context: bpy.types.Context, obj: bpy.types.Object, frames: int, height: float) -> bpy.types.Object:
    """A camera that goes once around an object; it becomes the scene's camera, and the frame range the length of the
    round. height: angle above the horizon, radians. An earlier turntable of the scene is replaced."""
    scene = context.scene
    for old in [old for old in scene.objects if TURNTABLE in old]:
        data = old.data
        bpy.data.objects.remove(old)
        if data is not None:
            bpy.data.cameras.remove(data)
    verts, _ = world_mesh(obj)
    middle = (verts.min(axis=0) + verts.max(axis=0)) / 2
    camera = bpy.data.objects.new("Turntable Camera", bpy.data.cameras.new("Turntable Camera"))
    distance = round_distance(verts - middle, height, *half_views(camera.data, scene.render))

    pivot = bpy.data.objects.new("Turntable", None)
    pivot[TURNTABLE] = camera[TURNTABLE] = True
    pivot.location, pivot.empty_display_size = middle, 0.1 * distance
    for new in (pivot, camera):
        scene.collection.objects.link(new)
    camera.parent = pivot
    camera.location = (0, -distance * math.cos(height), distance * math.sin(height))
    camera.rotation_euler = (math.pi / 2 - height, 0, 0)
    camera.data.clip_start, camera.data.clip_end = 0.01 * distance, 100 * distance

    for frame, turn in ((0, 0.0), (frames, 2 * math.pi)):
        pivot.rotation_euler.z = turn
        pivot.keyframe_insert("rotation_euler", index=2, frame=scene.frame_start + frame)
    for curve in curves_of(pivot):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
    scene.camera = camera
    scene.frame_end = scene.frame_start + frames - 1
    scene.frame_set(scene.frame_current)
    return pivot


def half_views(camera: bpy.types.Camera, render: bpy.types.RenderSettings) -> tuple[float, float]:
    """Tangents of half the angles that a camera with automatic sensor fit sees, sideways and upward."""
    wide, high = render.resolution_x * render.pixel_aspect_x, render.resolution_y * render.pixel_aspect_y
    longest = camera.sensor_width / camera.lens / 2
    return longest * wide / max(wide, high), longest * high / max(wide, high)


def round_distance(points: np.ndarray, height: float, sideways: float, upward: float) -> float:
    """From how far a camera sees points [P, 3] around its target all the way round, with room for some motion."""
    points = points[:: 1 + len(points) // 4096].astype(np.float64)
    across, up = np.linalg.norm(points[:, :2], axis=1, keepdims=True), points[:, 2:]
    angles = np.linspace(0, math.pi, 25)
    near, side = across * np.cos(angles), across * np.sin(angles)
    ahead = near * math.cos(height) + up * math.sin(height)
    above = np.abs(up * math.cos(height) - near * math.sin(height))
    return ROOM * float((ahead + np.maximum(side / sideways, above / upward)).max())


def curves_of(owner: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The F-curves of an object's action. Before Blender 5.0 the action itself has them, since then the layers."""
    animation = owner.animation_data
    if hasattr(animation.action, "fcurves"):
        return list(animation.action.fcurves)
    return list(animation.action.layers[0].strips[0].channelbag(animation.action_slot).fcurves)
