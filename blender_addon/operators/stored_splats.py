# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep splats with the .blend, and give them back to a backend."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty
from bpy.types import Operator

from .. import session
from ..connection.backend import READY
from ..scene import mesh_object, stored_splats
from .explained import Explained

FORMATS = (
    ("spz", "SPZ", "A tenth of the size, and what the eye does not see left out"),
    ("ply", "PLY", "Exact, with the columns that viewers of splats read"),
)


def title(scene: bpy.types.Scene) -> str:
    """What the reconstruction of a scene is called."""
    scan = mesh_object.find(scene.milo.job)
    return scan.name if scan else scene.name


def folder_of(scene: bpy.types.Scene) -> Path:
    """Where the splats of a scene's reconstruction are to lie."""
    return stored_splats.folder_beside(scene.milo.job, title(scene))


class StoredOperator(Explained):
    """About the stored splats of the scene's reconstruction."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if not context.scene.milo.job:
            return "This scene has no reconstruction yet"
        if session.current().storing.busy:
            return "Splats are being saved, packed or sent"
        return cls.blocked_by(context)


class MILO_OT_save_splats(StoredOperator, Operator):
    """Save the splats in a folder beside the .blend, with what is needed to show them without this backend"""

    bl_idname = "milo.save_splats"
    bl_label = "Save Splats"

    format: EnumProperty(name="Format", description="What kind of file to write", items=FORMATS)

    @staticmethod
    def blocked_by(context: bpy.types.Context) -> str:
        if session.current().backend.state != READY:
            return "The backend is not running: start it first"
        return "" if bpy.data.filepath else "Save the .blend first: the splats lie beside it"

    def work(self, context: bpy.types.Context) -> None:
        session.current().storing.save(context.scene, self.format, folder_of(context.scene))


class MILO_OT_pack_splats(StoredOperator, Operator):
    """Put the saved splats into the .blend itself, with its next save"""

    bl_idname = "milo.pack_splats"
    bl_label = "Pack Splats"

    @staticmethod
    def blocked_by(context: bpy.types.Context) -> str:
        stored = stored_splats.find(context.scene, context.scene.milo.job)
        return "" if stored and stored_splats.folder_of(stored) else "Save the splats first"

    def work(self, context: bpy.types.Context) -> None:
        session.current().storing.pack(context.scene, title(context.scene))


class MILO_OT_unpack_splats(StoredOperator, Operator):
    """Write the packed splats into a folder beside the .blend, and take them out of it"""

    bl_idname = "milo.unpack_splats"
    bl_label = "Unpack Splats"

    @staticmethod
    def blocked_by(context: bpy.types.Context) -> str:
        stored = stored_splats.find(context.scene, context.scene.milo.job)
        if stored is None or stored.packed is None:
            return "No splats are packed into this .blend"
        return "" if bpy.data.filepath else "Save the .blend first: the splats lie beside it"

    def work(self, context: bpy.types.Context) -> None:
        session.current().storing.unpack(context.scene, folder_of(context.scene))


class MILO_OT_restore_splats(StoredOperator, Operator):
    """Give the stored splats to the chosen backend, which has this reconstruction no more or is another one"""

    bl_idname = "milo.restore_splats"
    bl_label = "Restore Splats"

    @staticmethod
    def blocked_by(context: bpy.types.Context) -> str:
        stored = stored_splats.find(context.scene, context.scene.milo.job)
        there = stored and (stored.packed or stored_splats.folder_of(stored))
        return "" if there else "No splats are stored with this .blend"

    def work(self, context: bpy.types.Context) -> None:
        session.current().storing.give_back(context.scene, title(context.scene))


CLASSES = (MILO_OT_save_splats, MILO_OT_pack_splats, MILO_OT_unpack_splats, MILO_OT_restore_splats)
