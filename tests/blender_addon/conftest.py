# SPDX-License-Identifier: Apache-2.0
"""The extension as it ships, inside a real bpy.

`bpy` lives in environments of its own, named by MILO_BPY_PYTHON (several interpreters, separated by spaces; default
.venv-bpy/bin/python). The zip is built and installed there once; then each `inside/check_*.py` is a pytest file that
runs in such a bpy, reported here as one test for each bpy.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
INSIDE = HERE / "inside"
SUZANNE = ROOT / "examples" / "suzanne"
DEFAULT = ROOT / ".venv-bpy" / "bin" / "python"

collect_ignore = ["inside"]  # for bpy's Python only


def interpreters() -> list[str]:
    return os.environ.get("MILO_BPY_PYTHON", str(DEFAULT)).split()


def pytest_generate_tests(metafunc):
    if "bpy_python" in metafunc.fixturenames:
        names = interpreters()
        metafunc.parametrize("bpy_python", names, ids=[Path(n).parents[1].name for n in names], scope="session")


@pytest.fixture(scope="session")
def addon_zip(tmp_path_factory) -> Path:
    """The extension's zip for this platform, built for these tests."""
    dist = tmp_path_factory.mktemp("dist")
    run = subprocess.run([sys.executable, str(ROOT / "build_addon.py"), "--platform", "current", "--dist", str(dist)],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return next(dist.glob("milo-*.zip"))


def program(path: Path, command: str) -> str:
    """An executable that the add-on can start as its backend."""
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return str(path)


def sample_scene(path: Path) -> Path:
    """Every third photo of the sample scene."""
    (path / "images").mkdir(parents=True)
    (path / "masks").mkdir()
    for part, every in (("train", 3), ("test", 4)):
        table = json.loads((SUZANNE / f"transforms_{part}.json").read_text())
        table["frames"] = table["frames"][::every]
        for frame in table["frames"]:
            for file in (frame["file_path"], frame["mask_path"]):
                shutil.copyfile(SUZANNE / file, path / file)
        (path / f"transforms_{part}.json").write_text(json.dumps(table))
    return path


def sample_run(path: Path) -> Path:
    """A finished run of the sample scene whose mesh is the truth, with a few splats."""
    from milo.backend.config import DataConfig, load_config
    from milo.backend.data.ply import SplatColumns, write_splats
    from milo.backend.data.scene import load_scene
    from milo.backend.data.splat_folder import camera_records

    path.mkdir()
    cameras = [view.camera for view in load_scene(SUZANNE, DataConfig(max_width=100)).train]
    (path / "cameras.json").write_text(json.dumps(camera_records(cameras)))
    rng = np.random.default_rng(0)
    write_splats(path / "splats.ply", SplatColumns(
        means=rng.uniform(-1, 1, (50, 3)).astype(np.float32), sh_dc=rng.normal(size=(50, 3)).astype(np.float32),
        sh_rest=rng.normal(0, 0.1, (50, 3, 3)).astype(np.float32), opacities=np.ones(50, np.float32),
        scales=np.full((50, 3), -2.5, np.float32), quats=rng.normal(size=(50, 4)).astype(np.float32)))
    shutil.copyfile(SUZANNE / "gt_mesh.ply", path / "mesh.ply")
    (path / "config.json").write_text(json.dumps(load_config(["preview"], ["data.max_width=100"]).to_dict()))
    (path / "run.json").write_text(json.dumps({"format": 1, "splat_near": 0.05, "rasterizer": "radegs"}))
    return path


class Bpy:
    """A bpy with the extension installed in a user folder of its own."""

    def __init__(self, python: str, resources: Path):
        self.python, self.resources = python, resources
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self.environment |= {"BLENDER_USER_RESOURCES": str(resources)}
        self.environment["MILO_CAN_ALIGN"] = "1" if importlib.util.find_spec("pycolmap") else ""
        self.environment["MILO_SAMPLE_RUN"] = str(sample_run(resources / "run"))
        self.environment["MILO_SAMPLE_SCENE"] = str(sample_scene(resources / "suzanne"))
        self.environment["MILO_EXAMPLES"] = str(ROOT / "examples")
        self.environment["MILO_PROGRAM"] = program(
            resources / "milo", f'exec "{sys.executable}" "{HERE / "fake_backend.py"}" "$@"')
        self.environment["MILO_SERVICE_PROGRAM"] = program(
            resources / "milo-service", f'shift; PYTHONPATH="{HERE.parent / "backend" / "service"}" exec '
            f'"{sys.executable}" -m milo.backend.service --runner fake_runner:run --painter fake_runner:paint "$@"')
        self.environment["MILO_SPLATS_PROGRAM"] = program(
            resources / "milo-splats", f'shift; PYTHONPATH="{HERE}" exec "{sys.executable}" -m milo.backend.service '
            '--runner splat_runner:run "$@"')

    def run(self, *arguments: str, env: dict | None = None, timeout: float = 480) -> subprocess.CompletedProcess:
        return subprocess.run([self.python, *arguments], env=self.environment | (env or {}), timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.resources)

    def check(self, name: str, **env: str) -> None:
        """Run inside/check_NAME.py in this bpy; fail with its report.

        The report decides: bpy 4.2 may crash when the interpreter exits, after the tests.
        """
        run = self.run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", os.devnull,
                       "--confcutdir", str(INSIDE), str(INSIDE / f"check_{name}.py"), env=env)
        assert " passed" in run.stdout and " failed" not in run.stdout and " error" not in run.stdout, run.stdout


@pytest.fixture(scope="session")
def bpy(bpy_python, addon_zip, tmp_path_factory) -> Bpy:
    """One bpy with the extension installed from its zip by Blender's own operator."""
    if not Path(bpy_python).exists():
        if "MILO_BPY_PYTHON" in os.environ:
            pytest.fail(f"MILO_BPY_PYTHON names {bpy_python}, which is not there.")
        pytest.skip("No bpy environment: `make test` makes one, or name a Python with bpy in MILO_BPY_PYTHON.")
    resources = tmp_path_factory.mktemp("blender")
    shutil.copy(addon_zip, resources / "milo.zip")
    blender = Bpy(str(Path(bpy_python).absolute()), resources)
    installed = blender.run("-c", INSTALL, str(resources / "milo.zip"))
    assert "INSTALLED" in installed.stdout, installed.stdout
    return blender


INSTALL = """
import sys, bpy
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
assert bpy.ops.milo.poll() == {"FINISHED"}
print("INSTALLED", flush=True)
"""
