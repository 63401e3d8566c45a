# SPDX-License-Identifier: Apache-2.0
"""The animated demo's two parts inside Blender, run by examples/demo_animate.py with the Python of a bpy wheel.

    animate: open the demo's scene, finish, rig and animate it, save the splats' animation, render the textured mesh
    video:   make a video of numbered pictures
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

TIMEOUT_S = 1200.0
FPS = 24
GROUND = 0.02  # the sample scene's disc lies below this height
SECONDS: dict[str, float] = {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("animate")
    for name in ("zip", "backend", "demo", "out"):
        part.add_argument(f"--{name}", type=Path, required=True)
    for name in ("frames", "width", "height", "samples", "triangles", "texture"):
        part.add_argument(f"--{name}", type=int, required=True)
    part = parts.add_parser("video")
    part.add_argument("pictures", type=Path)
    part.add_argument("out", type=Path)
    args = parser.parse_args()
    return animate(args) if args.part == "animate" else video(args.pictures, args.out)


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    SECONDS[what] = round(time.monotonic() - start, 1)
    print(f"{SECONDS[what]:6.1f} s  {what}", flush=True)


def animate(args: argparse.Namespace) -> int:
    with timed("install the extension"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.extensions.package_install_files(filepath=str(args.zip), repo="user_default", enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    from bl_ext.user_default.milo.scene import asset

    preferences.get().backend_program = str(args.backend)
    preferences.get().backend_home = str(args.demo / "backend")
    with timed("open the reconstruction"):
        bpy.ops.wm.open_mainfile(filepath=str(args.demo / "scene.blend"))
    scene, now = bpy.context.scene, session.current()
    scene.milo.backend_home = str(args.demo / "backend")  # the folder may have been moved
    bpy.ops.milo.start_backend()
    if not now.wait(lambda s: s.backend.state == "ready" and s.has_all_of(scene), 60.0):
        return fail(f"the backend did not start: {now.trouble}")

    with timed("finish"):
        scene.milo_finish.triangles, scene.milo_finish.texture = args.triangles, str(args.texture)
        bpy.ops.milo.finish()
        now.wait(lambda s: not s.poll() and not s.finishing.busy, TIMEOUT_S)
    obj = asset.find(scene.milo.job)
    if obj is None:
        return fail(f"the asset did not come: {now.finishing.problem or now.trouble}")
    finished = now.finishing.report
    bpy.ops.milo.stop_backend()

    scene.render.resolution_x, scene.render.resolution_y = args.width, args.height
    scene.render.fps = FPS
    with timed("rig and bind"):
        for other in bpy.context.selected_objects:
            other.select_set(False)
        obj.select_set(True)
        bpy.context.view_layer.objects.active = obj
        bpy.ops.milo.add_armature(kind="CHAIN", bones=4, axis="Z")
        bpy.ops.milo.bind()
        hold_still(obj, GROUND, "chain.01")
    with timed("animate"):
        bpy.ops.milo.add_wave(frames=args.frames, cycles=2, strength=0.6)
        bpy.ops.milo.add_turntable(frames=args.frames)
    with timed("save the animation of the splats"):
        if bpy.ops.milo.save_animation(filepath=str(args.out / "animation.npz")) != {"FINISHED"}:
            return fail("the animation was not saved")
    light(scene)
    with timed(f"render the textured mesh, Cycles, {args.samples} samples"):
        render(scene, args.out / "mesh", args.samples)
    bpy.ops.wm.save_as_mainfile(filepath=str(args.out / "animated.blend"), compress=True)
    report = {"blender": bpy.app.version_string, "job": scene.milo.job, "object": obj.name,
              "triangles": len(obj.data.polygons), "texture": args.texture, "finish": finished, "seconds": SECONDS}
    (args.out / "blender.json").write_text(json.dumps(report, indent=1))
    return 0


def hold_still(obj: bpy.types.Object, height: float, bone: str) -> None:
    """Give all below a height to one bone, as one would in Weight Paint: the disc is not part of the animal."""
    below = [vertex.index for vertex in obj.data.vertices if (obj.matrix_world @ vertex.co).z < height]
    for group in obj.vertex_groups:
        group.remove(below)
    obj.vertex_groups[bone].add(below, 1.0, "REPLACE")


def light(scene: bpy.types.Scene) -> None:
    """A bright sky and a sun: the light of the photos is in the texture already."""
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle = 1.5, math.radians(10)
    sun.rotation_euler = (math.radians(40), 0, math.radians(-30))
    scene.collection.objects.link(sun)


def render(scene: bpy.types.Scene, folder: Path, samples: int) -> None:
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.max_bounces = 2
    scene.cycles.use_denoising = True
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.filepath = str(folder / "frame_####")
    bpy.ops.render.render(animation=True)


def video(folder: Path, out: Path) -> int:
    """Blender's sequencer and FFmpeg: H.264 in an MP4 file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    pictures = sorted(folder.glob("frame_*.png"))
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # the name until Blender 4.4
    strip = strips.new_image("pictures", str(pictures[0]), channel=1, frame_start=1)
    for picture in pictures[1:]:
        strip.elements.append(picture.name)
    scene.render.resolution_x, scene.render.resolution_y = (strip.elements[0].orig_width, strip.elements[0].orig_height)
    scene.frame_start, scene.frame_end, scene.render.fps = 1, len(pictures), FPS
    scene.view_settings.view_transform = "Standard"
    if hasattr(scene.render.image_settings, "media_type"):  # since Blender 5.0
        scene.render.image_settings.media_type = "VIDEO"
    scene.render.image_settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MPEG4", "H264"
    scene.render.ffmpeg.constant_rate_factor, scene.render.ffmpeg.gopsize = "HIGH", FPS
    scene.render.filepath = str(out)
    bpy.ops.render.render(animation=True)
    return 0


def fail(why: str) -> int:
    print(f"demo-animate: {why}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
