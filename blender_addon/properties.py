# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved in the .blend: choices and job on the scene, and on an object which mesh of which job it shows."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from . import options
from .frame_choice import MILO_PG_frames
from .scene import region, solved

SOURCES = (
    ("PHOTOS", "Photos", "Photos or a video without cameras: align them first"),
    ("FOLDER", "Scene Folder", "A folder with photos and their cameras: images/ and sparse/, or transforms.json"),
    ("CAMERAS", "Scene Cameras", "The cameras of this Blender scene, each with its photo as background image"),
)
PHOTO_KINDS = (
    ("FOLDER", "Folder", "A folder of photos; masks in its folder masks are used"),
    ("VIDEO", "Video", "A video: its sharpest frames are taken"),
)
PHOTO_STATES = (
    ("UNKNOWN", "Not Aligned", "Its camera was not looked for yet"),
    ("FOUND", "Found", "Its camera was found"),
    ("LOST", "Not Found", "Its camera was not found"),
)
PRESETS = (  # the numbers are what a .blend keeps
    ("preview", "Preview", "A quick look: 2,000 iterations on small pictures, minutes on a CPU", 0),
    ("low", "Low", "Small mesh: 18,000 iterations, for a GPU", 2),
    ("default", "Default", "The full schedule: 18,000 iterations, for a GPU", 1),
    ("high", "High", "Fine mesh: more Gaussians carry the mesh; a large GPU", 3),
    ("veryhigh", "Very High", "Finest mesh: a large GPU and patience", 4),
)


def show_region(choices: MILO_PG_scene, context: bpy.types.Context) -> None:
    """The region, or whether to see it, was changed."""
    solved.crop_points(choices.id_data)


class MILO_PG_scene(PropertyGroup):
    """The user's choices, and which job they led to."""

    source: EnumProperty(
        name="Source", description="Where the photos and their cameras come from", items=SOURCES, default="PHOTOS"
    )
    folder: StringProperty(
        name="Folder",
        description="Folder with photos and their cameras: images/ and sparse/ (COLMAP), or transforms.json",
        subtype="DIR_PATH",
    )
    photo_kind: EnumProperty(name="Photos From", description="What the photos are", items=PHOTO_KINDS)
    photo_folder: StringProperty(name="Photos", description="Folder of photos without cameras", subtype="DIR_PATH")
    video: StringProperty(name="Video", description="Video to take photos from", subtype="FILE_PATH")
    video_frames: IntProperty(
        name="Frames", description="Photos to take from the video, the sharpest ones", default=100, min=3, max=5000
    )
    solved: PointerProperty(
        name="Solved Cameras",
        description="Cameras and points that the last alignment brought",
        type=bpy.types.Collection,
    )
    aligned_photos: IntProperty(name="Photos", description="Photos that the last alignment was given")
    aligned_parts: StringProperty(
        name="Parts", description="How many photos each part has that the alignment could not join; the first is used"
    )
    frames: PointerProperty(name="Frames", description="Which frames of moving cameras to take", type=MILO_PG_frames)
    region: PointerProperty(
        name="Region",
        description="Box of interest: outside of this Empty cube there will be no mesh. Empty: all of the scene",
        type=bpy.types.Object,
        poll=region.is_box,
        update=show_region,
    )
    crop_preview: BoolProperty(
        name="Crop Preview",
        description="Show only the sparse points inside the region",
        default=True,
        update=show_region,
    )
    keep_background: BoolProperty(
        name="Keep Background", description="Keep the splats outside the region in the result", default=True
    )
    preset: EnumProperty(name="Preset", description="How much time to spend", items=PRESETS)
    overrides: StringProperty(
        name="Settings",
        description='Single settings over the preset, separated by semicolons, e.g. "schedule.iterations=800"',
    )
    option_section: EnumProperty(
        name="Section", description="Which options to show", items=options.sections(), default="schedule"
    )
    live_mesh: BoolProperty(
        name="Live Mesh",
        description="Show the mesh while it is being trained. The finished mesh comes in any case",
        default=True,
    )
    max_triangles: IntProperty(
        name="Max Triangles",
        description="Level of detail of the live mesh; the finished mesh comes whole. 0 means all",
        default=200_000,
        min=0,
        soft_max=2_000_000,
    )
    refresh_s: FloatProperty(
        name="Refresh Every",
        description="Least time between two meshes, in seconds",
        subtype="TIME_ABSOLUTE",
        default=2.0,
        min=0.0,
        soft_max=60.0,
    )
    job: StringProperty(name="Job", description="The backend's id of this scene's reconstruction")
    photo_job: StringProperty(name="Photo Job", description="The backend's id of the alignment that is under way")
    backend_home: StringProperty(name="Backend", description="Folder of the backend with the job", subtype="DIR_PATH")


class MILO_PG_photo(PropertyGroup):
    """A line of the report on photos."""

    path: StringProperty(name="File", description="The photo on this computer", subtype="FILE_PATH")
    problems: StringProperty(name="Problems", description="What is wrong with the photo")
    sharpness: FloatProperty(name="Sharpness", description="0 is blurred, 1 is sharp")
    brightness: FloatProperty(name="Brightness", description="Mean brightness, 0 to 255")
    width: IntProperty(name="Width", description="Pixels")
    height: IntProperty(name="Height", description="Pixels")
    state: EnumProperty(name="Camera", description="Whether the photo's camera was found", items=PHOTO_STATES)


class MILO_PG_object(PropertyGroup):
    """Which mesh of which job an object shows."""

    job: StringProperty(name="Job", description="The reconstruction this mesh comes from")
    owner: StringProperty(name="Owner", description="The object this was given to: in a copy of it, somebody else")
    sequence: IntProperty(name="Mesh", description="Number of the mesh in its job")
    triangles: IntProperty(name="Triangles", description="Triangles this mesh came with")
    iteration: IntProperty(name="Iteration", description="Training iteration of this mesh")
    kind: StringProperty(name="Kind", description="provisional, live or final")
    frozen: BoolProperty(name="Frozen", description="Keep this mesh: newer ones of the job are not applied")
    solved: BoolProperty(name="Solved", description="An alignment made this object, and may replace it")
    photo: StringProperty(name="Photo", description="The photo of this solved camera")
    photo_K: FloatVectorProperty(name="Intrinsics", description="Of the photo, pixels, by rows", size=9)
    photo_size: IntVectorProperty(name="Photo Size", description="Width and height, pixels", size=2)
    mask: StringProperty(name="Mask", description="Mask of the photo", subtype="FILE_PATH")
    taken: PointerProperty(
        name="Taken Frames", description="Still cameras made of this moving camera", type=bpy.types.Collection
    )
    off_camera: BoolProperty(
        name="Off Camera", description="Hidden from cameras because splats are composited in its place"
    )
    has_material: BoolProperty(name="Has Material", description="The vertex-colour material was assigned once")


def show_camera(item: MILO_PG_photo, context: bpy.types.Context) -> None:
    """Make the camera of the photo that was clicked in the list the active object."""
    manager, solved = context.window_manager, context.scene.milo.solved
    if solved is None or not 0 <= manager.milo_photo < len(manager.milo_photos):
        return
    name = manager.milo_photos[manager.milo_photo].name.rsplit(".", 1)[0].replace(" ", "_")
    camera = next((obj for obj in solved.objects if obj.milo.photo.rsplit(".", 1)[0] == name), None)
    if camera is not None and context.mode == "OBJECT" and camera.name in context.view_layer.objects:
        for obj in context.selected_objects:
            obj.select_set(False)
        camera.select_set(True)
        context.view_layer.objects.active = camera


CLASSES = (MILO_PG_frames, MILO_PG_scene, MILO_PG_object, MILO_PG_photo)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.milo = PointerProperty(type=MILO_PG_scene)
    bpy.types.Object.milo = PointerProperty(type=MILO_PG_object)
    bpy.types.WindowManager.milo_photos = CollectionProperty(type=MILO_PG_photo)
    bpy.types.WindowManager.milo_photo = IntProperty(
        name="Photo", description="The photo that is selected in the list", update=show_camera
    )


def unregister() -> None:
    del bpy.types.WindowManager.milo_photo
    del bpy.types.WindowManager.milo_photos
    del bpy.types.Object.milo
    del bpy.types.Scene.milo
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
