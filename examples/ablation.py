# SPDX-License-Identifier: Apache-2.0
"""What the mesh loop is worth: the sample scene with and without it, and the mesh of its initial points.

    make ablation        or        python examples/ablation.py [SCENE] [--preset preview]

Without the loop the Gaussians train exactly as long on the photos; their mesh is extracted by depth fusion at the same
pivots. Prints a table and writes build/ablation/report.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from demo import ROOT, SCORES, score_initial_points

MILO = Path(sys.executable).with_name("milo")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="?", default=ROOT / "examples" / "suzanne")
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "ablation")
    args = parser.parse_args()

    runs = {"with the mesh loop": [], "without": ["mesh.start_iter=1000000", "extract.refine_iters=0"]}
    report = {}
    for name, settings in runs.items():
        run = args.out / name.replace(" ", "_")
        flags = [word for setting in settings for word in ("--set", setting)]
        subprocess.run([MILO, "reconstruct", args.scene, "-o", run, "--preset", args.preset, "--fresh", *flags],
                       check=True)
        subprocess.run([MILO, "evaluate", run, "--gt", args.scene], check=True, stdout=subprocess.DEVNULL)
        report[name] = json.loads((run / "evaluation.json").read_text())
    run = args.out / "with_the_mesh_loop"
    report["initial points"] = {"score": score_initial_points(run, args.scene, args.out / "initial_points.ply")}
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")

    print(f"\n{'':20} {'PSNR':>6} {'F(0.01)':>8} {'F(0.0025)':>10} {'F(0.001)':>9} {'chamfer':>9} {'triangles':>10}")
    for name, row in report.items():
        score = row["score"]
        psnr = f"{row['psnr']:.2f}" if "psnr" in row else ""
        fscores = [score[name]["fscore"] for name in SCORES]
        print(f"{name:20} {psnr:>6} {fscores[0]:8.4f} {fscores[1]:10.4f} {fscores[2]:9.4f} {score['chamfer']:9.6f} "
              f"{score['faces']:10,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
