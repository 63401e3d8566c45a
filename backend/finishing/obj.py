# SPDX-License-Identifier: Apache-2.0
"""Writes a textured mesh as OBJ with MTL and PNG beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .asset import Asset, png
from .glb import y_up


def write_obj(path: str | Path, asset: Asset) -> list[Path]:
    """Write an asset, Y up as programs expect; returns the files: OBJ, MTL, then the pictures."""
    path, mesh = Path(path), asset.mesh
    pictures = {"color": asset.color} | ({} if asset.normal is None else {"normal": asset.normal})
    files = [path, path.with_suffix(".mtl")]
    material = [f"newmtl {asset.name}", "Kd 1 1 1", "Ks 0 0 0", "illum 1"]
    for kind, picture in pictures.items():
        file = path.with_name(f"{path.stem}_{kind}.png")
        file.write_bytes(png(picture))
        files.append(file)
        material.append(f"map_Kd {file.name}" if kind == "color" else f"map_Bump -bm 1.0 {file.name}")
    files[1].write_text("\n".join(material) + "\n", encoding="utf-8")
    number = mesh.faces + 1
    rows = [f"mtllib {files[1].name}", f"o {asset.name}", *_rows("v", y_up(mesh.verts)),
            *_rows("vt", np.stack([mesh.uvs[:, 0], 1 - mesh.uvs[:, 1]], axis=1)), *_rows("vn", y_up(mesh.normals)),
            f"usemtl {asset.name}", *(f"f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}" for a, b, c in number.tolist())]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return files


def _rows(word: str, values: np.ndarray) -> list[str]:
    return [word + "".join(f" {value:.7g}" for value in row) for row in values.tolist()]
