# SPDX-License-Identifier: Apache-2.0
"""From a reconstruction to an animation: the sample scene that `make demo` has left, finished to a light textured
mesh, rigged and animated in Blender, and rendered twice, with its splats and as a textured mesh.

    make demo-animate     or      python examples/demo_animate.py --bpy BPY_PYTHON --zip dist/milo-....zip

Leaves in build/demo-animate: video.mp4 (24 frames a second), contact_sheet.png, animated.blend, animation.npz, the
pictures of every frame, and report.json. Ends with 1 if something is missing, or if splats and mesh do not cover the
same part of a picture.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from demo_folder import make_anew
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
BEHIND = (38, 40, 46)
NAMES = {"splats": "splats", "mesh": "textured mesh"}
IN_SHEET = 6     # frames
CHATTER = ("Fra:", "Saved:", "Time:", "Append frame")   # of Blender, for every frame
COVERED = 0.85   # intersection over union of what splats and mesh cover, in the worst frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bpy", type=Path, required=True, help="Python that has the bpy wheel")
    parser.add_argument("--zip", type=Path, required=True, help="the extension")
    parser.add_argument("--backend", type=Path, default=Path(sys.executable).with_name("milo"))
    parser.add_argument("--demo", type=Path, default=ROOT / "build" / "demo", help="what `make demo` has left")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo-animate")
    for name, default in (("frames", 48), ("width", 480), ("height", 360), ("samples", 6), ("triangles", 20_000),
                          ("texture", 2048)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    for name in ("zip", "demo", "out", "backend"):
        setattr(args, name, getattr(args, name).absolute())
    if not (args.demo / "scene.blend").is_file():
        raise SystemExit(f"demo-animate: {args.demo} has no scene.blend: run `make demo` first.")
    make_anew(args.out)

    start = time.monotonic()
    run(args, args.bpy, "demo_animate_in_blender.py", "animate", *(
        f"--{name}={value}" for name, value in vars(args).items() if name != "bpy"))
    if not (args.out / "blender.json").exists():  # judged by what it wrote: a bpy wheel may crash as it exits
        raise SystemExit("demo-animate: the part in Blender failed; its last words are above.")
    report = {"format": 1, "frames": args.frames} | json.loads((args.out / "blender.json").read_text())
    seconds = report["seconds"]

    before = time.monotonic()
    job = args.demo / "backend" / "jobs" / report["job"] / "run"
    subprocess.run([args.backend, "render-animation", job, args.out / "animation.npz", "-o", args.out / "splats",
                    "--background", "transparent", "--device", "cpu"], check=True)
    seconds["render the splats"] = round(time.monotonic() - before, 1)

    before = time.monotonic()
    numbers = range(1, args.frames + 1)
    missing = [path for kind in NAMES for n in numbers if not (path := picture_of(args.out, kind, n)).is_file()]
    if missing:
        raise SystemExit(f"demo-animate: {len(missing)} pictures are missing, the first is {missing[0]}.")
    report["covered"] = [join(args.out, n) for n in numbers]
    make_sheet(args.out, args.frames)
    run(args, args.bpy, "demo_animate_in_blender.py", "video", args.out / "frames", args.out / "video.mp4")
    seconds["pictures side by side, video and sheet"] = round(time.monotonic() - before, 1)
    seconds["whole demo"] = round(time.monotonic() - start, 1)
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return judge(args.out, report)


def run(args: argparse.Namespace, python: Path, script: str, *arguments: object) -> None:
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(args.out / "blender")}
    done = subprocess.run([str(python), str(ROOT / "examples" / script), *map(str, arguments)], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = [line for line in done.stdout.splitlines() if line.strip() and not line.strip().startswith(CHATTER)]
    print("\n".join(said), flush=True)


def picture_of(out: Path, kind: str, number: int) -> Path:
    return out / kind / f"frame_{number:04d}.png"


def join(out: Path, number: int) -> float:
    """Put both pictures of a frame side by side; how far they cover the same pixels, 0 to 1."""
    both = [Image.open(picture_of(out, kind, number)).convert("RGBA") for kind in NAMES]
    width, height = both[0].size
    frame = Image.new("RGBA", (2 * width, height), (*BEHIND, 255))
    for at, (picture, words) in enumerate(zip(both, NAMES.values())):
        frame.alpha_composite(picture, (at * width, 0))
        ImageDraw.Draw(frame).text((at * width + 8, height - 18), words, (200, 200, 200))
    (out / "frames").mkdir(exist_ok=True)
    frame.convert("RGB").save(out / "frames" / f"frame_{number:04d}.png")
    splats, mesh = (np.asarray(picture)[..., 3] > 127 for picture in both)
    return round(float((splats & mesh).sum() / max(1, (splats | mesh).sum())), 4)


def make_sheet(out: Path, frames: int) -> None:
    """Some frames, splats above the mesh."""
    shown = np.linspace(1, frames + 1, IN_SHEET, endpoint=False).astype(int)
    pictures = [Image.open(out / "frames" / f"frame_{n:04d}.png") for n in shown]
    width, height = pictures[0].width // 2, pictures[0].height
    scale = min(1.0, 320 / width)
    small = round(width * scale), round(height * scale)
    sheet = Image.new("RGB", (IN_SHEET // 2 * small[0], 4 * small[1]), BEHIND)
    for at, (n, picture) in enumerate(zip(shown, pictures)):
        x, y = at % (IN_SHEET // 2) * small[0], at // (IN_SHEET // 2) * 2 * small[1]
        for half in (0, 1):
            part = picture.crop((half * width, 0, (half + 1) * width, height)).resize(small, Image.LANCZOS)
            sheet.paste(part, (x, y + half * small[1]))
        ImageDraw.Draw(sheet).text((x + 8, y + 6), f"frame {n}", (200, 200, 200))
    sheet.save(out / "contact_sheet.png")


def judge(out: Path, report: dict) -> int:
    """Say what was made and how long it took; 1 if something is missing."""
    worst, full, level = min(report["covered"]), report["finish"]["full"], report["finish"]["levels"][0]
    print(f"\n{report['object']}: {report['triangles']:,} triangles, texture {report['texture']}, in Blender "
          f"{report['blender']}; {report['frames']} frames")
    print(f"held-out views: the whole mesh with its {full['triangles']:,} triangles {full['psnr']:.2f} dB, this one "
          f"{level['psnr']:.2f} dB")
    for what, value in report["seconds"].items():
        print(f"{value:8.1f} s  {what}")
    print(f"splats and mesh cover the same {worst:.1%} of the pixels in the worst frame; look at "
          f"{out}/contact_sheet.png and {out}/video.mp4")
    faults = [f"{name} is missing" for name in ("video.mp4", "contact_sheet.png", "animated.blend")
              if not (out / name).is_file() or not (out / name).stat().st_size]
    if worst < COVERED:
        faults.append(f"splats and mesh cover the same {worst:.1%}, wanted at least {COVERED:.0%}")
    for fault in faults:
        print(f"falls short: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
