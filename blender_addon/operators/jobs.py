# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with any job of the backend."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Operator

from .. import session
from ..connection.backend import READY
from ..protocol.messages import CancelJob


class JobOperator:
    """Is about the job with this id."""

    bl_options = {"INTERNAL"}
    job: StringProperty(name="Job", description="The backend's id of the reconstruction")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.current().backend.state != READY:
            cls.poll_message_set("The backend is not running: start it first")
            return False
        return True


class MILO_OT_show_job(JobOperator, Operator):
    """Show this reconstruction in the scene: its progress in the panel, its mesh as an object"""

    bl_idname = "milo.show_job"
    bl_label = "Show Reconstruction"

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().show(context.scene, self.job)
        return {"FINISHED"}


class MILO_OT_cancel_job(JobOperator, Operator):
    """End this reconstruction. What was saved stays"""

    bl_idname = "milo.cancel_job"
    bl_label = "Cancel Reconstruction"

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().ask(CancelJob(self.job), session.current().told)
        return {"FINISHED"}


class MILO_OT_delete_job(JobOperator, Operator):
    """Remove this reconstruction from the backend's disk. Meshes in Blender stay"""

    bl_idname = "milo.delete_job"
    bl_label = "Delete Reconstruction"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().job_list.delete(self.job)
        return {"FINISHED"}


CLASSES = (MILO_OT_show_job, MILO_OT_cancel_job, MILO_OT_delete_job)
