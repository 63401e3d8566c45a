# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's version, as its manifest says."""

import tomllib
from pathlib import Path


def product_version() -> str:
    with (Path(__file__).parent / "blender_manifest.toml").open("rb") as file:
        return tomllib.load(file)["version"]
