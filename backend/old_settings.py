# SPDX-License-Identifier: Apache-2.0
"""Settings that earlier versions had, in the words of this one: their runs can be read and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def renewed(table: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a configuration that an earlier version has written, as this version would write them."""
    mesh = table.get("mesh")
    if not isinstance(mesh, Mapping) or not {"filter_large_edges", "collapse_large_edges"} & set(mesh):
        return dict(table)
    collapse, drop = mesh.get("collapse_large_edges", False), mesh.get("filter_large_edges", True)
    kept = {name: value for name, value in mesh.items() if name not in ("filter_large_edges", "collapse_large_edges")}
    return dict(table) | {"mesh": {"long_edges": "collapse" if collapse else "drop" if drop else "keep"} | kept}
