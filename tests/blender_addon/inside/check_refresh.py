# SPDX-License-Identifier: Apache-2.0
"""Refreshes of a mesh that the user works with meanwhile, as the session does them."""

import threading

import bpy
import numpy as np


def reconstruct(session, photos):
    settings = bpy.context.scene.milo
    settings.source, settings.folder = "FOLDER", str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30), session.trouble
    return bpy.data.objects["photos"]


def finished(now):
    return now.job_state == "finished" and not now.poll()


def paint(obj, name="top"):
    group = obj.vertex_groups.get(name) or obj.vertex_groups.new(name=name)
    for vertex in obj.data.vertices:
        group.add([vertex.index], float(vertex.co.normalized().z > 0), "REPLACE")


def is_painted(obj, name="top"):
    index = obj.vertex_groups[name].index
    z = np.array([vertex.co.normalized().z for vertex in obj.data.vertices])
    weight = np.array([sum(e.weight for e in v.groups if e.group == index) for v in obj.data.vertices])
    return (weight[z > 0.25] > 0.99).all() and (weight[z < -0.25] < 0.01).all()


def test_vertex_groups_through_a_whole_job(session, photos):
    obj = reconstruct(session, photos)
    paint(obj)
    seen = session.refreshes
    assert session.wait(finished, 30), session.trouble
    assert session.refreshes > seen and obj.milo.kind == "final" and is_painted(obj)


def test_nearest_places_are_found_on_a_thread(session, photos, milo, monkeypatch):
    names = []
    nearest = milo("scene.nearest")
    whole = nearest.on_surface
    monkeypatch.setattr(nearest, "on_surface", lambda *a: names.append(threading.current_thread().name) or whole(*a))
    obj = reconstruct(session, photos)
    paint(obj)
    assert session.wait(finished, 30), session.trouble
    assert set(names) == {"milo transfer"}


def test_what_the_user_does_during_a_transfer_is_not_lost(session, photos, milo, monkeypatch):
    """A group that was added and a mesh that was changed while the old one was being carried over."""
    carry = milo("scene.carry")
    go_on, whole = threading.Event(), carry.transfer
    monkeypatch.setattr(carry, "transfer", lambda *a: go_on.wait(20) and whole(*a))
    obj = reconstruct(session, photos)
    paint(obj)
    assert session.wait(lambda now: now.refresh.transferring, 10)
    seen = session.refreshes
    assert not session.wait(lambda now: now.refreshes > seen, 0.3)   # and nothing waits for it
    paint(obj, "more")
    go_on.set()
    assert session.wait(finished, 30), session.trouble
    assert is_painted(obj, "top") and is_painted(obj, "more")

    go_on.clear()
    obj.milo.sequence -= 1                                        # as if a newer one had come
    assert session.wait(lambda now: now.refresh.transferring, 10)
    obj.data.update_tag()
    bpy.context.view_layer.update()                               # Blender tells of the change
    assert not session.refresh.transferring
    go_on.set()
    assert session.wait(finished, 30) and is_painted(obj)


def test_heavy_modifiers_leave_the_user_some_peace(session, photos):
    """A mesh that Blender was long at is not followed by another live one at once; the finished one comes."""
    obj = reconstruct(session, photos)
    seen = session.refreshes
    session.refresh.took(60.0)
    assert session.wait(finished, 30), session.trouble
    assert session.refreshes == seen + 1 and obj.milo.kind == "final"


def test_slow_subdivision_is_made_fast(session, photos):
    obj = reconstruct(session, photos)
    assert not bpy.ops.milo.fast_subdivision.poll()
    modifier = obj.modifiers.new("Subdivision", "SUBSURF")
    assert modifier.use_limit_surface and bpy.ops.milo.fast_subdivision() == {"FINISHED"}
    assert not modifier.use_limit_surface and modifier.levels == 1 and not bpy.ops.milo.fast_subdivision.poll()


def test_a_duplicate_is_not_refreshed(session, photos):
    obj = reconstruct(session, photos)
    copy = obj.copy()
    copy.data = obj.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    copy.name, obj.name = "a", "z"
    kept = len(copy.data.vertices), copy.milo.sequence
    assert session.wait(finished, 30), session.trouble
    assert (len(copy.data.vertices), copy.milo.sequence) == kept and obj.milo.kind == "final"


def test_several_reconstructions_in_one_scene(session, photos):
    first = reconstruct(session, photos)
    assert session.wait(finished, 30)
    kept = first.milo.job, len(first.data.vertices)
    first.name = "first"
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job != kept[0], 20) and session.wait(finished, 30)
    second = bpy.data.objects["photos"]
    assert second.milo.job == bpy.context.scene.milo.job != kept[0] == first.milo.job
    assert len(first.data.vertices) == kept[1] and second.data != first.data


def test_undo_in_the_middle(session, photos):
    """Undo and redo between refreshes: references of before are of no use then, and none are kept."""
    bpy.ops.ed.undo_push(message="start")
    obj = reconstruct(session, photos)
    paint(obj)
    bpy.ops.ed.undo_push(message="painted")
    bpy.context.view_layer.objects.active = obj
    bpy.ops.transform.translate(value=(1, 0, 0))
    bpy.ops.ed.undo_push(message="moved")
    session.wait(lambda now: now.refresh.transferring, 5)
    bpy.ops.ed.undo()
    assert session.wait(lambda now: now.refreshes >= 3 or now.job_state == "finished", 20)
    bpy.ops.ed.redo()
    assert session.wait(finished, 30), session.trouble
    obj = bpy.data.objects["photos"]
    assert obj.milo.kind == "final" and is_painted(obj) and not obj.data.validate()
