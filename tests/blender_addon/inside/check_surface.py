# SPDX-License-Identifier: Apache-2.0
"""The finished mesh knows where it was; the evaluated mesh is read whole. (Pictures: test_splats_follow.py.)"""

import os
import time

import bpy
import numpy as np
import pytest


@pytest.fixture
def finished(milo):
    """A grid as the finished mesh of job-1."""
    module = milo("scene.mesh_object")
    obj = module.create("job-1", "thing", bpy.context.scene)
    y, x = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5))
    verts = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(np.float32)
    at = np.arange(25, dtype=np.int32).reshape(5, 5)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    module.replace(obj, verts, faces, np.zeros((25, 3), np.uint8))
    surface = milo("scene.surface")
    surface.write_rest(obj, "job-1", bpy.context.scene)
    return surface, obj, verts, faces


def read(surface, *objects, jobs=("job-1",)):
    bpy.context.view_layer.update()
    return surface.read_surface(list(objects), bpy.context.view_layer.depsgraph, list(jobs))


def test_at_rest(finished):
    surface, obj, verts, faces = finished
    came, pose = read(surface, obj)
    came.check()
    pose.check(came)
    assert (came.rest_co == verts).all() and (pose.positions == verts).all() and (came.faces == faces).all()
    assert (came.rest_ok == 1).all() and (came.src == 1).all() and np.allclose(came.rest_n, (0, 0, 1))
    assert read(surface, obj)[0].hash == came.hash


def test_shape_keys_and_modifiers_are_in_the_pose_only(finished):
    surface, obj, verts, _ = finished
    rest, _ = read(surface, obj)
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="up")
    key.data.foreach_set("co", (verts + np.float32([0, 0, 1])).ravel())
    key.value = 0.5
    obj.location.x = 3
    came, pose = read(surface, obj)
    assert came.hash == rest.hash
    assert np.allclose(pose.positions, verts + np.float32([0, 0, 0.5])) and pose.matrices[0, 0, 3] == 3
    obj.modifiers.new("more", "SUBSURF").levels = 1
    came, _ = read(surface, obj)
    assert came.hash != rest.hash and len(came.faces) > 2 * len(rest.faces)
    assert came.rest_co[:, 2].max() == 0 and not came.replicate[0]
    obj.modifiers.new("copies", "ARRAY")
    assert read(surface, obj)[0].replicate[0]


def test_reconstructions_are_told_apart(finished):
    surface, obj, _, faces = finished
    other = obj.copy()
    other.data = obj.data.copy()
    bpy.context.scene.collection.objects.link(other)
    surface.write_rest(other, "job-2", bpy.context.scene)
    assert surface.jobs_of(bpy.context.scene, "job-1") == ["job-1", "job-2"]
    came, pose = read(surface, obj, other, jobs=("job-2", "job-1"))
    assert came.src.tolist() == [2] * len(faces) + [1] * len(faces) and pose.matrices.shape == (2, 4, 4)
    assert (read(surface, other, obj, jobs=("job-1",))[0].src == 0).sum() == len(faces)
    with pytest.raises(surface.SurfaceError, match="thing"):
        read(surface, obj, jobs=("job-3",))


def test_the_finished_mesh_of_a_reconstruction_carries_splats(session, photos):
    """Through the session: what comes last has rest attributes, and the animation can be saved."""
    milo = bpy.context.scene.milo
    milo.source, milo.folder = "FOLDER", str(photos)
    assert bpy.ops.milo.reconstruct() == {"FINISHED"}
    end = time.monotonic() + 30
    while not any("rest_co" in obj.data.attributes for obj in bpy.data.objects if obj.type == "MESH"):
        session.poll()
        time.sleep(0.02)
        assert time.monotonic() < end
    assert not bpy.ops.milo.save_animation.poll()       # no camera yet
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    bpy.context.scene.frame_end = 2
    file = os.path.join(milo.folder, "walk.npz")
    assert bpy.ops.milo.save_animation(filepath=file) == {"FINISHED"} and os.path.exists(file)
