# SPDX-License-Identifier: Apache-2.0
"""Build the installable Blender extension, one zip a platform.

    python build_addon.py                          dist/milo-<version>-<platform>.zip for every platform
    python build_addon.py --platform current       only for this computer
    python build_addon.py --stage DIR              lay the extension out in DIR (no wheels), for tests
    python build_addon.py --blender-ext FILE       validate with Blender's own blender_ext.py too

The extension is `blender_addon/` with `protocol/`, the manual, the page of options and the presets inside it, a
manifest whose version comes from pyproject.toml, the licence texts, and the pyzmq and msgpack wheels for the Pythons of
Blender 4.2 to 5.x (3.11 and 3.13). Wheels are fetched once by pip into build/wheels. Zips are reproducible: sorted
names, one fixed time stamp.
"""

from __future__ import annotations

import argparse
import platform as host
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WHEELS = ROOT / "build" / "wheels"
PACKAGES = ("pyzmq", "msgpack")
LICENCES = ("GPL-3.0-or-later.txt", "Apache-2.0.txt")
ZIP_TIME = (2026, 1, 1, 0, 0, 0)
REQUIRED = {
    *("schema_version", "id", "version", "name", "tagline", "maintainer", "type", "blender_version_min", "license"),
}

# Blender's platform name -> (pip's platform tags, Pythons of the Blenders that exist there).
# Blender for Intel Macs ends at 4.5, whose Python is 3.11.
PLATFORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "linux-x64": (
        ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
        ("311", "313"),
    ),
    "windows-x64": (("win_amd64",), ("311", "313")),
    "windows-arm64": (("win_arm64",), ("311", "313")),
    "macos-arm64": (("macosx_11_0_arm64",), ("311", "313")),
    "macos-x64": (("macosx_10_15_x86_64",), ("311",)),
}


class BuildError(Exception):
    """The extension cannot be built; the message says why and what to do."""


def product_version(root: Path = ROOT) -> str:
    """The version in pyproject.toml, the one place where it stands."""
    with (root / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["version"]


def current_platform() -> str:
    """Blender's name of the platform this runs on, e.g. "linux-x64"."""
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(host.system(), host.system().lower())
    machine = {"x86_64": "x64", "AMD64": "x64", "arm64": "arm64", "aarch64": "arm64", "ARM64": "arm64"}
    name = f"{system}-{machine.get(host.machine(), host.machine())}"
    if name not in PLATFORMS:
        raise BuildError(f"There is no extension for {name}: choose one of {', '.join(PLATFORMS)}.")
    return name


def fetch_wheels(platform: str, cache: Path = WHEELS) -> list[Path]:
    """The wheels one platform's extension carries, downloaded by pip unless they are in the cache already."""
    tags, pythons = PLATFORMS[platform]
    folder = cache / platform
    for python in pythons:
        done = folder / f".complete-{python}"
        if done.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "-d", str(folder)]
        for tag in tags:
            command += ["--platform", tag]
        run = subprocess.run([*command, *PACKAGES], capture_output=True, text=True)
        if run.returncode:
            raise BuildError(
                f"pip could not download the {platform} wheels for Python {python[0]}.{python[1:]}: "
                f"{run.stderr.strip()[-500:]} Check the network, or put the wheels in {folder}."
            )
        done.touch()
    return sorted(folder.glob("*.whl"))


def manifest_text(version: str, platforms: list[str], wheels: list[str]) -> str:
    """blender_manifest.toml: what this build knows, then the part of it kept in blender_addon/."""
    known = [f'version = "{version}"']
    if platforms:
        known.append("platforms = [" + ", ".join(f'"{name}"' for name in platforms) + "]")
    if wheels:
        known.append("wheels = [\n" + "".join(f'    "./wheels/{name}",\n' for name in wheels) + "]")
    kept = (ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8")
    spdx, _remark, schema, rest = kept.split("\n", 3)
    return "\n".join([spdx, schema, *known, rest])


def source_files() -> dict[str, Path]:
    """Path inside the extension -> file of the repository, without manifest and wheels."""
    files = {}
    for folder, prefix in ((ROOT / "blender_addon", ""), (ROOT / "protocol", "protocol/")):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and "__pycache__" not in inside.parts and path.name != "blender_manifest.toml":
                files[prefix + inside.as_posix()] = path
    files["options.md"] = ROOT / "docs" / "options.md"  # the Advanced panel shows them
    files["manual.md"] = ROOT / "docs" / "blender.md"
    for path in sorted((ROOT / "backend" / "presets").glob("*.toml")):
        files[f"presets/{path.name}"] = path
    for name in LICENCES:
        files[f"LICENSES/{name}"] = ROOT / "LICENSES" / name
    return files


def stage(target: Path) -> Path:
    """Lay the extension out in `target` (emptied first) without wheels. Returns `target`."""
    if target.exists() and any(target.iterdir()) and not (target / "blender_manifest.toml").exists():
        raise BuildError(f"{target} holds other files: choose an empty folder for --stage.")
    shutil.rmtree(target, ignore_errors=True)
    for inside, path in source_files().items():
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / inside)
    (target / "blender_manifest.toml").write_text(manifest_text(product_version(), [], []), encoding="utf-8")
    check_manifest(tomllib.loads((target / "blender_manifest.toml").read_text(encoding="utf-8")))
    return target


def build(platform: str, dist: Path, cache: Path = WHEELS) -> Path:
    """Build one platform's zip and check it. Returns its path."""
    wheels = fetch_wheels(platform, cache)
    check_wheels(platform, [wheel.name for wheel in wheels])
    text = manifest_text(product_version(), [platform], [wheel.name for wheel in wheels])
    check_manifest(tomllib.loads(text))
    files: dict[str, bytes] = {"blender_manifest.toml": text.encode()}
    files |= {inside: path.read_bytes() for inside, path in source_files().items()}
    files |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}

    dist.mkdir(parents=True, exist_ok=True)
    target = dist / f"milo-{product_version()}-{platform}.zip"
    part = target.with_suffix(".zip.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    part.replace(target)
    return target


def check_manifest(manifest: dict) -> None:
    """The rules of Blender's manifest schema 1.0.0 that can be broken by editing ours."""
    missing = REQUIRED - manifest.keys()
    if missing:
        raise BuildError(f"blender_manifest.toml lacks {', '.join(sorted(missing))}.")
    sentences = {"tagline": manifest["tagline"]} | manifest.get("permissions", {})
    for key, sentence in sentences.items():
        if len(sentence) > 64 or not (sentence[-1].isalnum() or sentence[-1] in ")]}"):
            raise BuildError(f"blender_manifest.toml: {key}: at most 64 characters, the last a letter or digit.")
    unknown = manifest.get("permissions", {}).keys() - {"files", "network", "clipboard", "camera", "microphone"}
    if unknown:
        raise BuildError(f"blender_manifest.toml: unknown permission {', '.join(sorted(unknown))}.")


def check_wheels(platform: str, names: list[str]) -> None:
    """Each package is there once for each Python: cp311, and cp313 or a stable-ABI wheel that serves it."""
    _, pythons = PLATFORMS[platform]
    for package in PACKAGES:
        mine = [name for name in names if name.startswith(f"{package}-")]
        for python in pythons:
            fits = [n for n in mine if f"-cp{python}-cp{python}-" in n or ("-abi3-" in n and python != "311")]
            if len(fits) != 1:
                raise BuildError(
                    f"{platform} needs one {package} wheel for Python {python[0]}.{python[1:]} but has "
                    f"{fits or 'none'}: remove {WHEELS / platform} and build again."
                )


def validate_by_blender(blender_ext: Path, archive: Path) -> None:
    """Run Blender's own validator (bpy/<version>/scripts/addons_core/bl_pkg/cli/blender_ext.py) on a zip."""
    command = [sys.executable, str(blender_ext), "validate", str(archive)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise BuildError(f"Blender refuses {archive.name}: {(run.stdout + run.stderr).strip()}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the MILo extension for Blender.")
    parser.add_argument("--platform", default="all", help=f"all, current, or one of {', '.join(PLATFORMS)}")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the zips go (default: dist/)")
    parser.add_argument("--stage", type=Path, metavar="DIR", help="only lay the extension out in DIR, without wheels")
    parser.add_argument("--blender-ext", type=Path, metavar="FILE", help="Blender's blender_ext.py, to validate with")
    options = parser.parse_args(arguments)
    try:
        if options.stage:
            print(stage(options.stage))
            return 0
        if options.platform not in ("all", "current", *PLATFORMS):
            raise BuildError(f"Unknown platform {options.platform}: choose all, current or {', '.join(PLATFORMS)}.")
        if options.platform == "all":
            names = list(PLATFORMS)
        else:
            names = [current_platform() if options.platform == "current" else options.platform]
        for name in names:
            archive = build(name, options.dist)
            if options.blender_ext:
                validate_by_blender(options.blender_ext, archive)
            print(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB")
    except BuildError as error:
        print(f"build_addon.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
