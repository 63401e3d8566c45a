# SPDX-License-Identifier: Apache-2.0
"""What an artist puts on the object in the window's scripts, and whether it is still there."""

import bpy
import numpy as np

GROUP = "upper half"
MARGIN = 0.08   # of the height: so near to the border a vertex may belong to either side


def height(obj):
    """[V] of each vertex: 0 at the lowest, 1 at the highest of the bounding box that the object had at first."""
    low, high = obj["low"], obj["high"]
    at = np.empty(3 * len(obj.data.vertices), np.float32)
    obj.data.vertices.foreach_get("co", at)
    return (at[2::3] - low) / (high - low)


def work_on(obj):
    """A material, a Subdivision modifier, a vertex group, and a custom property."""
    z = [corner[2] for corner in obj.bound_box]
    obj["low"], obj["high"] = min(z), max(z)
    mine = bpy.data.materials.new("mine")
    mine.diffuse_color = (0.8, 0.35, 0.1, 1)
    obj.data.materials.clear()
    obj.data.materials.append(mine)
    modifier = obj.modifiers.new("Subdivision", "SUBSURF")
    modifier.levels, modifier.use_limit_surface = 1, False   # the limit surface takes seconds a mesh
    group = obj.vertex_groups.new(name=GROUP)
    group.add(np.flatnonzero(height(obj) > 0.5).tolist(), 1.0, "REPLACE")


def kept(obj):
    """What of it is there, the share of vertices clear of the border whose weight is wrong, and which mesh it is."""
    index = obj.vertex_groups[GROUP].index
    weight = np.array([sum(e.weight for e in v.groups if e.group == index) for v in obj.data.vertices])
    at = height(obj)
    wrong = np.abs(weight - (at > 0.5))[np.abs(at - 0.5) > MARGIN]
    return {"materials": [material.name for material in obj.data.materials],
            "modifiers": [modifier.name for modifier in obj.modifiers],
            "mean_height": float(at.mean(dtype=np.float64)), "wrong_weights": float((wrong > 0.5).mean())}
