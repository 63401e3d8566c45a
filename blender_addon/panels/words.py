# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as people read them."""

from __future__ import annotations

import textwrap

from bpy.app.translations import pgettext_iface as iface_
from bpy.app.translations import pgettext_n as n_

STAGES = {
    "frames": n_("Choosing frames"),
    "photos": n_("Looking at photos"),
    "features": n_("Finding features"),
    "matching": n_("Matching photos"),
    "mapping": n_("Solving cameras"),
    "undistortion": n_("Undistorting photos"),
    "loading": n_("Loading photos"),
    "splats": n_("Training splats"),
    "mesh": n_("Training splats and mesh"),
    "refine": n_("Refining the mesh"),
    "colours": n_("Colouring the mesh"),
    "saving": n_("Saving"),
    "clean": n_("Removing floaters"),
    "decimate": n_("Reducing triangles"),
    "unwrap": n_("Unwrapping"),
    "exposure": n_("Comparing exposures"),
    "bake": n_("Baking the texture"),
    "relief": n_("Baking the normal map"),
    "compare": n_("Comparing with photos"),
}


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def about(seconds: float) -> str:
    """A time nobody knows exactly: Less than a minute, About 3 min, About 2.5 h."""
    if seconds < 50:
        return iface_("Less than a minute")
    minutes = seconds / 60
    if minutes < 10:
        return iface_("About {} min").format(round(minutes))
    if minutes < 90:
        return iface_("About {} min").format(5 * round(minutes / 5))
    return iface_("About {} h").format(round(minutes / 60) if minutes >= 600 else f"{minutes / 60:.1f}")


def size(number: float) -> str:
    """Of bytes: 300 MB, 1.2 GB, 16 GB."""
    gigabytes = number / 2**30
    if gigabytes < 0.95:
        return f"{round(number / 2**20, -1):.0f} MB"
    return f"{gigabytes:.1f} GB" if gigabytes < 9.95 else f"{gigabytes:.0f} GB"


def count(number: int) -> str:
    """950, 12.3 k, 1.2 M."""
    if number < 10_000:
        return str(number)
    if number < 1_000_000:
        return f"{number / 1e3:.1f} k"
    return f"{number / 1e6:.1f} M"


def stage(name: str) -> str:
    """A stage of the backend in words, which the interface is to translate; unknown ones as they are."""
    return STAGES.get(name, name.capitalize())


def wrapped(text: str, width_px: float, scale: float) -> list[str]:
    """Lines of a text for a region of a width in pixels at an interface scale."""
    return textwrap.wrap(text, max(10, int((width_px - 75 * scale) / (6.2 * scale))))
