# SPDX-License-Identifier: Apache-2.0
"""The Python that has bpy, and the demo on a shrunken schedule."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MICRO = {
    "data.max_width": 120,
    "schedule.iterations": 300, "schedule.depth_normal_from": 100, "schedule.sh_steps": [120],
    "densify.from_iter": 20, "densify.until_iter": 100, "densify.clone_from": 20, "densify.clone_interval": 30,
    "densify.reinit_iter": 60, "densify.reinit_max": 5000, "densify.simplify1_iter": 100, "densify.simplify2_iter": 180,
    "model.max_gaussians": 8000,
    "mesh.start_iter": 181, "mesh.stop_iter": 300, "mesh.delaunay_interval": 30, "mesh.sdf_interval": 30,
    "mesh.sdf_stop_iter": 250, "mesh.labels_interval": 30,
    "extract.refine_iters": 40, "extract.labels_interval": 20,
    "run.evaluate_at": [], "run.provisional_at": [60, 100, 150], "run.snapshot_interval": 10,
    "run.checkpoint_interval": 100, "service.snapshot_interval_s": 0.0,
}


@pytest.fixture(scope="session")
def bpy_python() -> Path:
    path = Path(os.environ.get("MILO_BPY_PYTHON", str(ROOT / ".venv-bpy" / "bin" / "python")).split()[0]).absolute()
    if not path.exists():
        if "MILO_BPY_PYTHON" in os.environ:
            pytest.fail(f"MILO_BPY_PYTHON names {path}, which is not there.")
        pytest.skip("No bpy environment: `make test` makes one, or name a Python with bpy in MILO_BPY_PYTHON.")
    return path


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> dict[str, Path]:
    """What demos need: the extension's zip, and a program that is the backend."""
    room = tmp_path_factory.mktemp("programs")
    built = subprocess.run([sys.executable, ROOT / "build_addon.py", "--platform", "current", "--dist", room],
                           capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    backend = room / "milo"
    backend.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m milo.backend.cli "$@"\n')
    backend.chmod(0o755)
    return {"zip": next(room.glob("*.zip")), "backend": backend}


@pytest.fixture(scope="session")
def demo(tmp_path_factory, bpy_python, programs) -> Path:
    """What `make demo` leaves."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    settings = "; ".join(f"{key}={json.dumps(value)}" for key, value in MICRO.items())
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--bpy", bpy_python, "--backend", programs["backend"],
         "--zip", programs["zip"], "--out", out, "--set", settings],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert run.returncode == 0, run.stdout
    return out
