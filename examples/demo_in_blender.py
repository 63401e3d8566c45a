# SPDX-License-Identifier: Apache-2.0
"""The demo's part inside Blender: install the extension, press Reconstruct, keep every mesh that arrives, save.

Run by examples/demo.py with the Python of a bpy wheel; it does what an artist does, with operators instead of clicks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

TIMEOUT_S = 3600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("zip", "backend", "scene", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--set", default="", help="single settings, as in the panel: section.key=value; ...")
    args = parser.parse_args()

    start = time.monotonic()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(args.zip), repo="user_default", enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    from bl_ext.user_default.milo.scene import mesh_object

    preferences.get().backend_program = str(args.backend)
    preferences.get().backend_home = str(args.out / "backend")
    choices = bpy.context.scene.milo
    choices.source, choices.folder = "FOLDER", str(args.scene)
    choices.preset, choices.overrides = args.preset, args.set
    choices.refresh_s = 0.0  # every mesh that comes is kept, for the picture of the stages
    seconds = {"install the extension": time.monotonic() - start}

    start = time.monotonic()
    bpy.ops.milo.start_backend()
    now = session.current()
    if not now.wait(lambda s: s.backend.state == "ready", 60.0):
        return fail(f"the backend did not start: {now.trouble}")
    seconds["start the backend"] = time.monotonic() - start

    start = time.monotonic()
    bpy.ops.milo.reconstruct()
    refreshes, stage_begin = [], {}
    while time.monotonic() - start < TIMEOUT_S:
        more = now.poll()
        info = now.job_info
        if info and info.stage and info.stage not in stage_begin:
            stage_begin[info.stage] = time.monotonic() - start
            say(f"{stage_begin[info.stage]:6.1f} s  {info.stage}")
        obj = mesh_object.find(now.job) if now.job else None
        if obj and now.refreshes > len(refreshes):
            refreshes.append(keep(obj, args.out / "stages" / f"{len(refreshes):03d}.npz", time.monotonic() - start))
            say("{seconds:6.1f} s  mesh {number}: {kind}, iteration {iteration}, {triangles:,} triangles"
                .format(number=len(refreshes), **refreshes[-1]))
        if not more and now.job_state not in ("starting", "queued", "running"):
            break
        time.sleep(0.02)
    if now.job_state != "finished":
        return fail(f"the job is {now.job_state}: {now.trouble}")
    seconds["reconstruct"] = time.monotonic() - start

    start = time.monotonic()
    look_at_it(obj)
    bpy.ops.milo.render_splats()
    picture = bpy.data.images["MILo splats"]
    picture.filepath_raw, picture.file_format = str(args.out / "splats_in_blender.png"), "PNG"
    picture.save()
    seconds["render the splats from Blender's camera"] = time.monotonic() - start

    bpy.ops.milo.stop_backend()
    now.wait(lambda s: s.backend.state not in ("ready", "starting"), 20.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(args.out / "scene.blend"), compress=True)
    report = {"blender": bpy.app.version_string, "job": choices.job, "object": obj.name,
              "vertices": len(obj.data.vertices), "triangles": len(obj.data.polygons), "refreshes": refreshes,
              "stage_begin_s": stage_begin, "seconds": seconds}
    (args.out / "blender.json").write_text(json.dumps(report, indent=1))
    return 0


def keep(obj: bpy.types.Object, path: Path, seconds: float) -> dict:
    """Write the object's present mesh to a file; what it is, for the report."""
    mesh = obj.data
    verts = np.empty(3 * len(mesh.vertices), np.float32)
    faces = np.empty(3 * len(mesh.polygons), np.int32)
    mesh.attributes["position"].data.foreach_get("vector", verts)
    mesh.attributes[".corner_vert"].data.foreach_get("value", faces)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, verts=verts.reshape(-1, 3), faces=faces.reshape(-1, 3))
    return {"seconds": round(seconds, 1), "kind": obj.milo.kind, "iteration": obj.milo.iteration,
            "vertices": len(mesh.vertices), "triangles": len(mesh.polygons), "file": path.name}


def look_at_it(obj: bpy.types.Object) -> None:
    """A scene camera that sees the object from the front, and the object moved: the splats must move along."""
    corners = np.array([obj.matrix_world @ Vector(corner) for corner in obj.bound_box])
    center, size = corners.mean(0), float(np.ptp(corners, axis=0).max())
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = center + np.array([0.3, -1.6, 0.7]) * size
    target = bpy.data.objects.new("Target", None)
    target.location = center
    bpy.context.scene.collection.objects.link(target)
    track = camera.constraints.new("TRACK_TO")
    track.target, track.track_axis, track.up_axis = target, "TRACK_NEGATIVE_Z", "UP_Y"
    bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y = 640, 480
    obj.rotation_euler[2] += 0.35


def say(text: str) -> None:
    print(text, flush=True)


def fail(why: str) -> int:
    print(f"demo: {why}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
