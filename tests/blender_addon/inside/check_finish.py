# SPDX-License-Identifier: Apache-2.0
"""An asset from the panel's button: real server, real worker, real baking; only the training is a stand-in."""

import json
import os
import signal
import time

import bpy
import numpy as np
import pytest
from mathutils import Matrix


@pytest.fixture
def session(session):
    """With the sample scene reconstructed, its mesh moved, turned and scaled by the user."""
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    milo = bpy.context.scene.milo
    milo.source, milo.folder = "FOLDER", os.environ["MILO_SAMPLE_SCENE"]
    milo.overrides = f'fake.iterations=1; fake.run="{os.environ["MILO_SAMPLE_RUN"]}"'
    assert not bpy.ops.milo.finish.poll()
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    scan = bpy.data.objects["suzanne"]
    scan.location, scan.rotation_euler, scan.scale = (1, 2, 3), (0.1, 0.2, 0.3), (1.5, 1.5, 1.5)
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


def finish(session, **choices):
    for name, value in {"triangles": 2000, "texture": "512", **choices}.items():
        setattr(bpy.context.scene.milo_finish, name, value)
    assert bpy.ops.milo.finish() == {"FINISHED"} and not bpy.ops.milo.finish.poll()
    stages = set()

    def done(now):
        stages.add(now.finishing.progress and now.finishing.progress[0])
        return not now.finishing.busy
    assert session.wait(done, 120) and not session.finishing.problem, session.finishing.problem
    return stages


def points(obj, name="position"):
    values = np.empty(3 * len(obj.data.vertices), np.float32)
    obj.data.attributes[name].data.foreach_get("vector", values)
    return values.reshape(-1, 3)


def world(matrix, values):
    matrix = np.array(matrix)
    return values @ matrix[:3, :3].T + matrix[:3, 3]


def nodes_of(obj):
    """The nodes that the Principled BSDF takes its colour and its normal from, and the latter's image node."""
    shader = next(n for n in obj.active_material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    color = shader.inputs["Base Color"].links[0].from_node
    bump = shader.inputs["Normal"].links[0].from_node if shader.inputs["Normal"].links else None
    return color, bump, bump and bump.inputs["Color"].links[0].from_node


def test_an_asset_that_outlives_the_backend(session, milo, tmp_path):
    stages = finish(session, levels=2, unit=0.5, origin="base")
    assert stages & {"unwrap", "bake"}
    scan, job = bpy.data.objects["suzanne"], bpy.context.scene.milo.job
    finest, coarser = (bpy.data.objects[f"suzanne LOD{level}"] for level in (0, 1))
    assert {finest, coarser} == set(bpy.data.collections["suzanne Finished"].objects)
    assert 1000 < len(finest.data.polygons) <= 2000 and len(coarser.data.polygons) <= 500
    assert scan.hide_render and scan.hide_get() and coarser.hide_render and not finest.hide_render
    assert session.finishing.report["levels"][0]["psnr"] > 18

    # where the scan was put, half as large about its origin, with the object's own origin below the middle
    rest = points(finest, "rest_co")
    bpy.context.view_layer.update()
    assert np.allclose(world(finest.matrix_world, points(finest)), world(scan.matrix_world, 0.5 * rest), atol=1e-5)
    assert abs(points(finest)[:, 2].min()) < 1e-5 and np.allclose(finest.scale, 1.5)
    assert np.allclose(np.ptp(rest, 0), np.ptp(points(scan), 0), rtol=0.1)
    surface = milo("scene.surface")
    assert surface.followers(bpy.context.scene) == [finest]
    came, _ = surface.read_surface([finest], bpy.context.view_layer.depsgraph, surface.jobs_of(bpy.context.scene, job))
    came.check()
    assert (came.src == 1).all() and np.array_equal(came.rest_co, rest)

    # a picture of the splats is the same, with another depth, from a camera that sees the scan as it does the asset
    camera = bpy.context.scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.view_layer.update()
    splat_camera = milo("scene.splat_image").splat_camera
    (viewmat, K, _, scale), (before, _, _, full) = (splat_camera(bpy.context.scene, obj) for obj in (finest, scan))
    assert np.allclose(viewmat[:3, :3], before[:3, :3], atol=1e-5) and np.isclose(scale, 0.5 * full)
    seen = (world(viewmat, rest) * scale) @ K.T
    truth = world(np.linalg.inv(camera.matrix_world), world(finest.matrix_world, points(finest))) * [1, -1, -1] @ K.T
    assert np.allclose(seen, truth, atol=1e-2)

    # rigged and animated, it goes on without the backend
    rig = bpy.data.objects.new("rig", bpy.data.armatures.new("rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    rig.data.edit_bones.new("all").tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    finest.vertex_groups.new(name="all").add(range(len(finest.data.vertices)), 1.0, "REPLACE")
    finest.modifiers.new("Armature", "ARMATURE").object = rig
    for frame, height in ((1, 0.0), (11, 2.0)):
        rig.pose.bones["all"].location = (0, height, 0)
        rig.pose.bones["all"].keyframe_insert("location", frame=frame)

    path = tmp_path / "asset.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    session.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 20)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    finest = bpy.data.objects["suzanne LOD0"]
    color, bump, normal = nodes_of(finest)
    assert color.image.packed_file and normal.image.packed_file and bump.type == "NORMAL_MAP"
    assert color.image.colorspace_settings.name == "sRGB" and normal.image.colorspace_settings.name == "Non-Color"
    assert tuple(color.image.size) == tuple(normal.image.size) == (512, 512)
    assert str(tmp_path) not in color.image.filepath
    pixels = np.array(color.image.pixels).reshape(512, 512, 4)[..., :3]
    up = np.array(normal.image.pixels).reshape(512, 512, 4)[..., 2]
    assert pixels.std() > 0.05 and up.mean() > 0.8
    assert milo("scene.asset").find(job) == finest

    heights = []
    for frame in (1, 11):
        bpy.context.scene.frame_set(frame)
        mesh = finest.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
        heights.append(np.mean([(finest.matrix_world @ vertex.co).z for vertex in mesh.vertices]))
    assert abs(heights[1] - heights[0] - 2) < 1e-3

    # the texture is where it belongs: as the vertices' own colours say
    mesh = finest.data
    uvs, at, colors = np.empty(2 * len(mesh.loops)), np.empty(len(mesh.loops), int), np.empty(4 * len(mesh.vertices))
    mesh.uv_layers["UVMap"].uv.foreach_get("vector", uvs)
    mesh.loops.foreach_get("vertex_index", at)
    mesh.attributes["Color"].data.foreach_get("color_srgb", colors)
    column, row = (uvs.reshape(-1, 2) * 512).astype(int).clip(0, 511).T
    assert np.abs(pixels[row, column] - colors.reshape(-1, 4)[at, :3]).mean() < 0.03


def test_finished_again_with_what_the_user_did(session):
    finish(session, levels=2)
    obj, scene = bpy.data.objects["suzanne LOD0"], bpy.context.scene
    obj.matrix_world = Matrix.Translation((5, 0, 0))
    group = obj.vertex_groups.new(name="top")
    high = [v.index for v in obj.data.vertices if v.co.z > 0.3]
    group.add(high, 1.0, "REPLACE")
    obj.modifiers.new("Bend", "SIMPLE_DEFORM")
    obj["note"] = "mine"
    tree = obj.active_material.node_tree
    tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.25
    before, image = len(obj.data.polygons), nodes_of(obj)[0].image

    finish(session, levels=1, triangles=900, texture="1024", normal_map=False, up="-z", origin="center", balance=True)
    assert session.finishing.report["gains"]
    assert bpy.data.objects["suzanne LOD0"] == obj and "suzanne LOD1" not in bpy.data.objects
    assert len(obj.data.polygons) <= 900 < before
    assert list(obj.modifiers.keys()) == ["Bend"] and obj["note"] == "mine" and len(obj.material_slots) == 1
    assert tree.nodes["Principled BSDF"].inputs["Roughness"].default_value == 0.25
    color, bump, _ = nodes_of(obj)
    assert color.image == image and tuple(image.size) == (1024, 1024) and bump is None
    assert not any("normal" in image.name for image in bpy.data.images)
    rest, now = points(obj, "rest_co"), points(obj)
    weights = np.array([sum(entry.weight for entry in v.groups) for v in obj.data.vertices])
    assert ((weights > 0.5) == (rest[:, 2] > 0.3)).mean() > 0.97
    assert np.corrcoef(rest[:, 2], now[:, 2])[0, 1] < -0.99       # upside down now
    turned = rest * [1, -1, -1]
    bpy.context.view_layer.update()
    assert np.allclose(world(obj.matrix_world, now) - turned, [5, 0, 0], atol=1e-4)     # about the origin it had
    assert scene.milo_finish.job == ""


def test_copies_of_an_asset_are_the_users_own(session):
    finish(session, triangles=900)
    obj, job = bpy.data.objects["suzanne LOD0"], bpy.context.scene.milo.job
    copies = [obj.copy() for _ in range(2)]
    for copy, name in zip(copies, ("a copy before it by name", "suzanne LOD0 copy")):
        copy.name, copy.data = name, obj.data.copy()
        bpy.context.scene.collection.objects.link(copy)
    copies[1].data.materials[0] = copies[1].active_material.copy()      # with the same pictures
    from bl_ext.user_default.milo.scene import asset
    place, material = asset.place_of(obj), obj.active_material
    material.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.25
    pictures = [node.image for node in nodes_of(obj)[::2]]
    before = [bytes(picture.packed_file.data) for picture in pictures]
    finish(session, triangles=500, normal_map=False)
    assert [[node.image for node in nodes_of(copy)[::2]] for copy in copies] == [pictures] * 2
    assert [bytes(picture.packed_file.data) for picture in pictures] == before
    assert copies[0].active_material == material != obj.active_material and len(obj.material_slots) == 1
    assert obj.active_material.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value == 0.25
    color, bump, _ = nodes_of(obj)
    assert color.image not in pictures and bytes(color.image.packed_file.data) != before[0] and bump is None
    assert asset.levels(job) == [obj] and len(obj.data.polygons) <= 500
    assert all(500 < len(copy.data.polygons) <= 900 and not copy.hide_get() for copy in copies)
    asset.mesh_object.let_go_of_copies()
    assert obj.milo_asset.job == job and not any(copy.milo_asset.job for copy in copies)
    assert all(np.array_equal(asset.place_of(copy), place) for copy in copies)


def test_a_blend_that_was_saved_before_its_jobs_were_over(session):
    """The backend knows them no more: they hold nothing up."""
    scene = bpy.context.scene
    scene.milo_finish.job = scene.milo.photo_job = "20260101-000000-abcdef"
    session.finishing.follow(scene)
    session.photos.follow(scene)
    assert session.finishing.busy and session.photos.busy
    assert session.wait(lambda now: not (now.finishing.busy or now.photos.busy), 20)
    assert bpy.ops.milo.finish.poll()


def test_a_backend_that_goes_while_the_asset_is_fetched(session):
    """Whatever has arrived by then, nothing fails but the finishing."""
    choices = bpy.context.scene.milo_finish
    choices.triangles, choices.texture, choices.normal_map = 500, "512", False
    bpy.ops.milo.finish()
    assert session.wait(lambda now: now.finishing.download, 120)
    session.backend.close()
    assert session.wait(lambda now: not now.finishing.busy, 20)
    arrived = "suzanne LOD0" in bpy.data.objects
    assert arrived != bool(session.finishing.problem) and arrived == (bpy.context.scene.milo_finish.job == "")


def test_taken_up_after_reopening_and_cancelled_within_two_seconds(session, tmp_path):
    bpy.ops.milo.finish()
    now = session.finishing
    assert session.wait(lambda s: now.info and now.info.state == "running", 60)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "busy.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "busy.blend"))
    assert bpy.context.scene.milo_finish.job
    assert session.wait(lambda s: now.info and now.info.stage in ("unwrap", "bake"), 60)
    assert not bpy.ops.milo.finish.poll()
    begun = time.monotonic()
    assert bpy.ops.milo.cancel_finish() == {"FINISHED"}
    assert session.wait(lambda s: not now.busy, 10) and time.monotonic() - begun < 2.0
    assert not [obj for obj in bpy.data.objects if obj.milo_asset.job] and bpy.ops.milo.finish.poll()


def test_a_failure_is_told(session):
    os.remove(next((session.backend.home / "jobs").glob("*/run/mesh.ply")))
    bpy.ops.milo.finish()
    assert session.wait(lambda now: not now.finishing.busy, 60)
    assert "mesh.ply" in session.finishing.problem.message and bpy.ops.milo.finish.poll()


def test_finished_after_the_backend_was_killed(session):
    bpy.ops.milo.finish()
    now = session.finishing
    assert session.wait(lambda s: now.info and now.info.state == "running", 60)
    interrupted = bpy.context.scene.milo_finish.job
    os.kill(session.backend.pid, signal.SIGKILL)
    assert session.wait(lambda s: not now.busy, 30) and bpy.ops.milo.finish.poll()
    finish(session, triangles=500)
    assert "suzanne LOD0" in bpy.data.objects and bpy.context.scene.milo_finish.job == ""
    assert session.wait(lambda s: not (session.backend.home / "jobs" / interrupted).exists(), 20)


@pytest.mark.parametrize("name, png", [("../outside", None), ("lod0", b""), ("lod0", b"\x89PNG"), ("lod0", "cut off")])
def test_what_no_backend_of_ours_makes(milo, tmp_path, name, png):
    """A way out of the folder, or damaged pictures: told once, and nothing is made of it."""
    image = bpy.data.images.new("whole", 8, 8)
    image.filepath_raw, image.file_format = str(tmp_path / "whole.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)
    whole = (tmp_path / "whole.png").read_bytes()
    folder = tmp_path / "finished"
    folder.mkdir()
    (folder / "finish.json").write_text(json.dumps({"levels": [{"name": name}]}))
    corners = np.eye(3, dtype=np.float32)
    (folder / f"{name}.npz").write_bytes(milo("protocol.assets").AssetMesh(
        corners, corners, np.array([[0, 1, 2]], np.int32), corners[:, :2].copy(), np.zeros((3, 3), np.uint8),
        np.eye(4, dtype=np.float32)).pack())
    (folder / f"{name}_color.png").write_bytes(whole if png is None else whole[:-20] if png == "cut off" else png)

    now = milo("session").current().finishing
    now._scene_name, now._source, now._folder = bpy.context.scene.name, "20260101-000000-abcdef", folder
    now.download = milo("connection.download").Download(None, "", {}, lambda: milo("finish_work").read_asset(folder))
    now.download.join(10)
    now.step(time.perf_counter() + 1.0)
    assert "cannot be read" in now.problem.message and not now.busy
    assert not [obj for obj in bpy.data.objects if obj.milo_asset.job] and not folder.exists()
