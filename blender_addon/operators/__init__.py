# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do. Each operator is a few lines over the session."""

import bpy

from . import (
    animation,
    backend,
    backends,
    composite,
    export,
    finish,
    frames,
    help,
    jobs,
    mesh,
    options,
    photos,
    preview,
    reconstruct,
    region,
    rig,
    splats,
    stored_splats,
)

MODULES = (
    *(backend, backends, photos, frames, region, reconstruct, preview, jobs, options),
    *(mesh, finish, export, rig, splats, stored_splats, composite, animation, help),
)
CLASSES = tuple(cls for module in MODULES for cls in module.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
