# SPDX-License-Identifier: Apache-2.0
"""The extension's zip, its manifest, and who imports whom inside it."""

import ast
import importlib.util
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def build_addon():
    spec = importlib.util.spec_from_file_location("build_addon", ROOT / "build_addon.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_addon"] = module
    spec.loader.exec_module(module)
    return module


def test_zip_holds_the_extension_and_its_wheels(build_addon, addon_zip):
    with zipfile.ZipFile(addon_zip) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["id"] == "milo" and manifest["version"] == build_addon.product_version()
    assert manifest["blender_version_min"] == "4.2.13"
    assert set(manifest["permissions"]) == {"network", "files", "clipboard"}
    assert {"__init__.py", "protocol/messages.py", "LICENSES/GPL-3.0-or-later.txt"} <= set(names)
    assert sorted(manifest["wheels"]) == sorted(f"./{name}" for name in names if name.endswith(".whl"))
    assert manifest["platforms"] == [build_addon.current_platform()]
    assert not [name for name in names if "__pycache__" in name or name.startswith(("/", ".."))]


def test_zip_is_reproducible(build_addon, addon_zip, tmp_path):
    again = build_addon.build(build_addon.current_platform(), tmp_path)
    assert again.read_bytes() == addon_zip.read_bytes()


def test_blender_accepts_the_zip(build_addon, bpy, addon_zip):
    said = bpy.run("-c", "import bpy; print('AT', bpy.utils.system_resource('SCRIPTS'))").stdout
    scripts = Path(said.split("AT ")[1].splitlines()[0])
    build_addon.validate_by_blender(scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py", addon_zip)


def test_stage_lays_out_the_extension(build_addon, tmp_path):
    staged = build_addon.stage(tmp_path / "milo")
    assert (staged / "protocol" / "envelope.py").is_file() and not (staged / "wheels").exists()
    assert tomllib.loads((staged / "blender_manifest.toml").read_text())["version"] == build_addon.product_version()
    (staged / "stale.py").touch()
    build_addon.stage(staged)
    assert not (staged / "stale.py").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(build_addon.BuildError, match="holds other files"):
        build_addon.stage(tmp_path / "other")


def test_wheels_for_every_python_of_blender(build_addon):
    good = ["msgpack-1.2-cp311-cp311-win_amd64.whl", "msgpack-1.2-cp313-cp313-win_amd64.whl",
            "pyzmq-27-cp311-cp311-win_amd64.whl", "pyzmq-27-cp312-abi3-win_amd64.whl"]
    build_addon.check_wheels("windows-x64", good)
    for absent in good:
        with pytest.raises(build_addon.BuildError, match=absent.split("-")[0]):
            build_addon.check_wheels("windows-x64", [name for name in good if name != absent])


@pytest.mark.parametrize("broken", [{"tagline": "x" * 65}, {"tagline": "a dot."}, {"permissions": {"gpu": "No"}}])
def test_manifest_rules(build_addon, broken):
    manifest = tomllib.loads(build_addon.manifest_text("1.2.3", ["linux-x64"], []))
    build_addon.check_manifest(manifest)
    with pytest.raises(build_addon.BuildError):
        build_addon.check_manifest(manifest | broken)


def imports(path: Path) -> set[str]:
    """Top-level packages a module imports; relative imports as .name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").split(".")[0])
    return found


def test_who_imports_whom():
    """Sockets only in connection/, Blender's data never there, and nothing of the backend anywhere."""
    addon = ROOT / "blender_addon"
    for path in addon.rglob("*.py"):
        inside, wants = path.relative_to(addon), imports(path)
        assert not wants & {"milo", "torch"}, path
        if inside.parts[0] == "connection":
            assert not wants & {"bpy", "bmesh", "mathutils", "..scene", "..session"}, path
        else:
            assert not wants & {"zmq", "msgpack"}, path
        if inside.parts[0] == "scene":
            assert not wants & {"..connection", "..session"}, path  # of the protocol only its data: no sockets
        assert path.read_text().startswith("# SPDX-License-Identifier: GPL-3.0-or-later"), path
