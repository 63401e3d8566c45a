# SPDX-License-Identifier: Apache-2.0
"""What a job shows: its newest mesh, and pictures of its splats."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from .arrays import Array
from .errors import bad
from .fields import JOB_ID, Count, JobId, Matrix3, Matrix4, Name, PictureSide, Wait, message
from .limits import MAX_PREVIEW_BYTES, MAX_SURFACE_SOURCES
from .schema import Choice, Flag, List, Number, Text

MESH_KINDS = ("provisional", "live", "final")
DEPTHS = ("median", "expected")


@message("mesh.next")
@dataclass(frozen=True, slots=True)
class NextMesh:
    """Ask for the newest mesh of a job, once there is one newer than `after`. Answer: MeshSnapshot, or Nothing."""
    job: JobId
    after: Count = 0                # sequence number the client already has
    max_triangles: Count = 200_000  # level of detail for a live view; 0 = all
    wait_s: Wait = 20.0             # the server answers Nothing after this long


@message("mesh.snapshot")
@dataclass(frozen=True, slots=True)
class MeshSnapshot:
    """A mesh in the world of its scene. Indices and lengths are checked: it can be handed to Blender as it is."""
    job: JobId
    seq: Count
    kind: Annotated[str, Choice(MESH_KINDS)]
    iteration: Count
    triangles_full: Count           # before its level of detail was lowered
    verts: Annotated[np.ndarray, Array("float32", (None, 3))]
    faces: Annotated[np.ndarray, Array("int32", (None, 3))]
    colors: Annotated[np.ndarray, Array("uint8", (None, 3))]   # sRGB, one for each vertex

    def check(self):
        if len(self.colors) != len(self.verts):
            raise bad("mesh.snapshot", f"{len(self.colors)} colours for {len(self.verts)} vertices")
        if len(self.faces) and not (self.faces.min() >= 0 and self.faces.max() < len(self.verts)):
            raise bad("mesh.snapshot", f"a face points outside of the {len(self.verts)} vertices")
        if not np.isfinite(self.verts).all():
            raise bad("mesh.snapshot", "a vertex is not finite")


_Pixels = Annotated[np.ndarray, Array("uint8", (None, None, 3), max_bytes=MAX_PREVIEW_BYTES)]


@message("preview.next")
@dataclass(frozen=True, slots=True)
class NextPreview:
    """Ask for the newest picture of a training view beside its photo. Answer, at once: Preview if there is one newer
    than `after`, else Nothing."""
    job: JobId
    after: Count = 0                # sequence number of the mesh that the client's one came with


@message("preview")
@dataclass(frozen=True, slots=True)
class Preview:
    """Rows from top to bottom, sRGB."""
    job: JobId
    seq: Count
    iteration: Count
    rendering: _Pixels              # of the splats
    photo: _Pixels                  # as it is trained on

    def check(self):
        if self.rendering.shape != self.photo.shape:
            raise bad("preview", "the rendering must have the size of its photo")


@message("render.splats")
@dataclass(frozen=True, slots=True)
class RenderSplats:
    """Draw the newest splats of a job. Answer: Picture.

    At rest, `viewmat` already includes the object's transform: rest world to camera. On a deformed surface it is world
    to camera, rigid; the objects' transforms are in `matrices`. Arrays go along the first time; later the pose's name
    does, until the answer is not_ready. A surface may hold several reconstructions, which are drawn as one set: `job`
    is number 1 of its `src`, `others` are 2, 3, ...
    """
    job: JobId
    viewmat: Matrix4
    K: Matrix3
    width: PictureSide
    height: PictureSide
    background: Annotated[tuple[float, ...], List(Number(0.0, 1.0), 3, 3)] = (0.0, 0.0, 0.0)
    surface: Annotated[str, Text(64, "([0-9a-f]{64})?")] = ""   # blob of a surface.npz (surfaces.py), "" for at rest
    pose: Annotated[str, Text(64, "([0-9a-f]{64})?")] = ""      # name of its pose: surfaces.Pose.hash
    positions: Annotated[np.ndarray | None, Array("float32", (None, 3), optional=True)] = None
    matrices: Annotated[np.ndarray | None, Array("float32", (None, 4, 4), optional=True)] = None
    others: Annotated[tuple[str, ...], List(JOB_ID, MAX_SURFACE_SOURCES - 1)] = ()
    view: Name = ""                 # of a view's requests that wait, only the newest is drawn; the others get Nothing
    depth: Annotated[str, Choice(DEPTHS)] = "median"
    exact: Annotated[bool, Flag()] = False                      # colours in float32 as well

    def check(self):
        if self.others and not self.surface:
            raise bad("render.splats", "several reconstructions are drawn on a surface only")
        if bool(self.surface) != bool(self.pose):
            raise bad("render.splats", "a surface needs a pose, and a pose its surface")
        if (self.positions is None) != (self.matrices is None) or (self.positions is not None and not self.surface):
            raise bad("render.splats", "positions and matrices come together, and with their surface")


@message("picture")
@dataclass(frozen=True, slots=True)
class Picture:
    """Rows from top to bottom. Colours are sRGB like the photos, over the background: premultiplied if it is black."""
    width: PictureSide
    height: PictureSide
    image: Annotated[np.ndarray, Array("uint8", (None, None, 4))]     # [H,W,4] colour and alpha
    depth: Annotated[np.ndarray, Array("float32", (None, None))]      # [H,W] along the view, world units, 0 = empty
    exact: Annotated[np.ndarray | None, Array("float32", (None, None, 4), optional=True)] = None   # image, unrounded

    def check(self):
        maps = [self.image, self.depth] + ([] if self.exact is None else [self.exact])
        if any(one.shape[:2] != (self.height, self.width) for one in maps):
            raise bad("picture", f"image and depth must have {self.height} rows of {self.width} pixels")
