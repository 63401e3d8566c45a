# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished assets as files of other programs, through Blender's own exporters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_

SUFFIXES = {"GLB": (".glb",), "USD": (".usdz", ".usdc", ".usda", ".usd"), "OBJ": (".obj",), "PLY": (".ply",)}


class ExportError(Exception):
    """Nothing was exported: a sentence for the user."""


def export(context: bpy.types.Context, objects: list[bpy.types.Object], path: Path, kind: str) -> None:
    """Write objects, with the armatures that deform them, and nothing else of the scene. In Object Mode.

    Args:
        kind: one of SUFFIXES. USDZ and GLB hold their pictures, beside the others they lie as files.

    Raises:
        ExportError: the exporter is not there, or has failed.
    """
    armatures = {modifier.object for obj in objects for modifier in obj.modifiers if modifier.type == "ARMATURE"}
    armatures |= {obj.parent for obj in objects if obj.parent and obj.parent.type == "ARMATURE"}
    with only_selected(context.view_layer, [*objects, *filter(None, armatures)]):
        try:
            _EXPORTERS[kind](str(path), any(rig and rig.animation_data for rig in armatures))
        except (RuntimeError, AttributeError) as error:
            raise ExportError(rpt_("{} could not be written: {}").format(path.name, error)) from None
    if kind == "OBJ":  # the exporter names packed pictures, but does not write them
        for obj in objects:
            for image in filter(None, (obj.milo_asset.color, obj.milo_asset.normal)):
                path.with_name(Path(image.filepath).name).write_bytes(image.packed_file.data)


@contextmanager
def only_selected(view_layer: bpy.types.ViewLayer, objects: list[bpy.types.Object]) -> Iterator[None]:
    """Select objects, hidden ones too, for a while."""
    selected = [obj for obj in view_layer.objects if obj.select_get(view_layer=view_layer)]
    active, hidden = view_layer.objects.active, [obj for obj in objects if obj.hide_get(view_layer=view_layer)]
    try:
        for obj in selected:
            obj.select_set(False, view_layer=view_layer)
        for obj in objects:
            obj.hide_set(False, view_layer=view_layer)
            obj.select_set(True, view_layer=view_layer)
        view_layer.objects.active = objects[0]
        yield
    finally:
        for obj in objects:
            obj.select_set(False, view_layer=view_layer)
        for obj in hidden:
            obj.hide_set(True, view_layer=view_layer)
        for obj in selected:
            obj.select_set(True, view_layer=view_layer)
        view_layer.objects.active = active


def _gltf(path: str, animated: bool) -> None:
    if "io_scene_gltf2" not in bpy.context.preferences.addons:
        raise ExportError(rpt_("Enable the add-on glTF 2.0 in the preferences first."))
    bpy.ops.export_scene.gltf(
        filepath=path, export_format="GLB", use_selection=True, export_animations=animated,
        export_vertex_color="NONE",  # a viewer would multiply the texture by them
    )


def _usd(path: str, animated: bool) -> None:
    bpy.ops.wm.usd_export(filepath=path, selected_objects_only=True, export_animation=animated)


def _obj(path: str, animated: bool) -> None:
    bpy.ops.wm.obj_export(filepath=path, export_selected_objects=True, path_mode="STRIP")


def _ply(path: str, animated: bool) -> None:
    bpy.ops.wm.ply_export(filepath=path, export_selected_objects=True, export_uv=True, export_normals=True,
                          export_colors="SRGB")


_EXPORTERS = {"GLB": _gltf, "USD": _usd, "OBJ": _obj, "PLY": _ply}
