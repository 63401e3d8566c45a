# SPDX-License-Identifier: Apache-2.0
"""The arrows of docs/how_it_works.md: who may import whom, and which libraries stay in their place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Later layers may import earlier ones, never the other way round.
LAYERS = ["data", "alignment", "rendering", "gaussians", "mesh", "extraction", "training", "evaluation", "editing",
          "finishing", "service"]
# Library -> the only places that may import it.
HOMES = {
    "zmq": ["backend/service/", "backend/doctor.py", "blender_addon/connection/", "tests/"],
    "bpy": ["blender_addon/", "examples/demo_in_blender.py", "examples/demo_animate_in_blender.py",
            "tests/blender_addon/", "tests/end_to_end/", "bench/blender/"],
    "pycolmap": ["backend/alignment/solver.py", "tests/"],
    "cv2": ["backend/data/video.py", "tests/"],
    "plyfile": ["backend/data/ply.py", "tests/"],
    "xatlas": ["backend/finishing/unwrap.py"],
    "nvdiffrast": ["backend/rendering/", "tests/"],
}
FOLDERS = ("protocol", "cuda_ext", "backend", "functional", "blender_addon", "examples", "bench", "tests")
SOURCES = [path for folder in FOLDERS
           for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, absolute module name) of everything a file imports, lazily or not."""
    package = ["milo", *path.relative_to(ROOT).with_suffix("").parts]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def test_no_arrow_goes_back():
    wrong = []
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        forbidden = []
        if place.startswith("protocol/"):
            forbidden = ["milo.backend", "milo.cuda_ext", "torch", "zmq"]
        elif place.startswith("cuda_ext/"):
            forbidden = ["milo.backend", "milo.functional", "milo.protocol"]
        elif place.startswith("blender_addon/"):
            forbidden = ["milo.backend", "milo.cuda_ext", "torch"]
            if place.startswith("blender_addon/connection/"):
                forbidden.append("bpy")
        elif place.startswith("backend/"):
            layer = path.relative_to(ROOT).parts[1]
            if layer in LAYERS:
                later = [*LAYERS[LAYERS.index(layer) + 1:], "cli", "cli_animation", "cli_photos", "cli_results",
                         "console", "console_photos"]
                forbidden = [f"milo.backend.{name}" for name in later] + ["milo.functional"]
        elif place.startswith("functional/"):
            forbidden = [f"milo.backend.{name}" for name in ("extraction", "training", "evaluation", "service", "cli")]
        wrong += [f"{place}:{line} imports {name}" for line, name in imports(path)
                  if any(name == module or name.startswith(module + ".") for module in forbidden)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", HOMES)
def test_libraries_stay_in_their_place(library):
    wrong = [f"{path.relative_to(ROOT)}:{line}" for path in SOURCES for line, name in imports(path)
             if name.split(".")[0] == library
             and not any(path.relative_to(ROOT).as_posix().startswith(home) for home in HOMES[library])]
    assert not wrong, f"{library} is imported at " + ", ".join(wrong)


def test_every_source_file_names_its_licence():
    files = [*SOURCES, ROOT / "build_addon.py"]
    files += [path for suffix in ("cpp", "h", "cu", "cuh") for path in (ROOT / "cuda_ext").rglob(f"*.{suffix}")]
    missing = []
    for path in files:
        head = path.read_text(encoding="utf-8")[:300]
        licence = "GPL-3.0-or-later" if path.is_relative_to(ROOT / "blender_addon") else "Apache-2.0"
        if f"SPDX-License-Identifier: {licence}" not in head:
            missing.append(str(path.relative_to(ROOT)))
    assert not missing, "no SPDX line, or another licence: " + ", ".join(missing)


def test_nothing_generic_or_dangerous():
    """No pickle, no shell, no eval; torch.load only with weights_only=True."""
    wrong = []
    for path in SOURCES:
        if path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name in ("eval", "exec", "os.system") or keywords.get("shell") == "True" or name.endswith(".cuda"):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
            if name == "torch.load" and keywords.get("weights_only") != "True":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} torch.load without weights_only=True")
        wrong += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in imports(path)
                  if name.startswith("pickle")]
    assert not wrong, "\n".join(wrong)
