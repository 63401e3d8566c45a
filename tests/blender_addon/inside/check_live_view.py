# SPDX-License-Identifier: Apache-2.0
"""What a 3D View asks for and when; in background, where views exist but nothing draws. (Drawn: test_window.py.)"""

import os
import time

import bpy
import numpy as np
import pytest


@pytest.fixture
def view(ball, milo):
    """A view of the scene from its camera, 320 x 240, as a 3D View would hold it."""
    obj, module, splat_view = ball("blue"), milo("live_view"), milo("scene.splat_view")
    bpy.context.view_layer.update()
    camera, graph = bpy.context.scene.camera, bpy.context.view_layer.depsgraph
    view = module.LiveView("view 1")
    view.meshes = module.Meshes("Scene", bpy.context.view_layer.name)
    view.wanted = splat_view.frame_view(bpy.context.scene, camera, graph, (320, 240))
    view.drawn_at = time.monotonic()
    return view, obj


def pictures(view, until=lambda view: view.up_to_date, timeout_s=30):
    """Step until a condition holds: (scale, numbers of the meshes) of the pictures that came."""
    came, end = [], time.monotonic() + timeout_s
    while not until(view):
        assert time.monotonic() < end, view.problem
        if view.step() and view.shown:
            came.append(view.shown[1:])
        time.sleep(0.005)
    return came


def middle(view):
    """Where the splats are in the newest picture: (column, row) in 0..1, and how many texels it has."""
    colours, depths = view._texels
    rows, columns = np.nonzero(colours[..., 3] > 128)
    assert np.all(depths[rows, columns] < 4) and depths.max() == np.float32(1e10)
    return columns.mean() / colours.shape[1], rows.mean() / colours.shape[0], depths.size


def test_a_preview_comes_first_then_all(view):
    view, obj = view
    came = pictures(view)
    assert came[0][1] < 1.0 and came[-1][1] == 1.0
    across, up, texels = middle(view)
    assert abs(across - 0.5) < 0.01 and abs(up - 0.5) < 0.01 and texels == 320 * 240
    assert not view.step() and view.pictures == len(came)        # at rest nothing is asked

    obj.location.x = 0.5
    bpy.context.view_layer.update()                              # the handler notes it
    view.meshes.changed = True
    assert pictures(view)[-1] == (2, 1.0) and middle(view)[0] > 0.6
    bpy.context.scene.camera.location.z = 5                      # of no interest to the meshes
    bpy.context.view_layer.update()
    view.meshes.changed = True
    assert not pictures(view) and view.meshes.number == 2


def test_changes_are_noticed(view, milo):
    view, obj = view
    pictures(view)
    module = milo("live_view")
    module._meshes[("Scene", "ViewLayer")] = view.meshes
    cube = bpy.data.objects.new("cube", bpy.data.meshes.new("cube"))
    bpy.context.scene.collection.objects.link(cube)
    bpy.context.view_layer.update()

    def noticed(change):
        view.meshes.changed = False
        change()
        bpy.context.view_layer.update()
        return view.meshes.changed
    assert not noticed(lambda: setattr(cube, "location", (1, 2, 3)))
    assert noticed(lambda: setattr(obj, "location", (1, 0, 0)))
    assert noticed(lambda: obj.modifiers.new("more", "SUBSURF"))
    assert noticed(lambda: obj.hide_set(True))
    assert noticed(lambda: bpy.context.scene.frame_set(7))
    assert pictures(view) == [] and view.shown is None          # nothing carries splats any more
    assert noticed(lambda: obj.hide_set(False))
    assert pictures(view)


def test_a_moving_view_gets_the_newest(view, milo):
    """No queue of old views builds up while it turns: the one under way comes, then a preview of the last, then all."""
    view, _ = view
    splat_view = milo("scene.splat_view")
    for turn in range(40):
        camera = bpy.context.scene.camera
        camera.location.x = 0.02 * turn
        bpy.context.view_layer.update()
        view.wanted = splat_view.frame_view(bpy.context.scene, camera, bpy.context.view_layer.depsgraph, (320, 240))
        view.step()
        time.sleep(0.01)
    came = pictures(view)
    assert len(came) <= 3
    assert view.shown[0].same_as(view.wanted) and came[-1][1] == 1.0
    assert middle(view)[0] < 0.4                                 # the camera went to the right


def test_the_backend_goes_and_comes_back(view, splat_session):
    view, obj = view
    pictures(view)
    os.kill(splat_session.backend.pid, 9)
    assert splat_session.wait(lambda now: now.backend.state == "stopped", 20)
    view.meshes.changed, obj.location.x = True, 0.3
    bpy.context.view_layer.update()
    pictures(view, until=lambda view: view.problem)
    assert "not running" in view.problem and view.shown          # the last picture stays
    bpy.ops.milo.start_backend()
    assert splat_session.wait(lambda now: now.backend.state == "ready", 30)
    pictures(view)
    assert not view.problem and middle(view)[0] > 0.55


def test_meshes_are_hidden_while_their_splats_are_shown(ball):
    obj, settings = ball(), bpy.context.scene.milo_splats
    obj.display_type = "SOLID"
    settings.show = True
    assert obj.display_type == "BOUNDS"
    settings.hide_mesh = False
    assert obj.display_type == "SOLID"
    settings.hide_mesh = True
    settings.show = False
    assert obj.display_type == "SOLID" and "milo_display" not in obj
