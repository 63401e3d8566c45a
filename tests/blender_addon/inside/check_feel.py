# SPDX-License-Identifier: Apache-2.0
"""Names, tooltips and icons as a native add-on has them, for all that there is."""

import ast
from pathlib import Path

import bpy
import pytest

MODULE = "bl_ext.user_default.milo"


def ours(base):
    return [cls for cls in base.__subclasses__() if cls.__module__.startswith(MODULE)]


def settings(rna, hidden=()):
    """The properties that a class of ours brings along, without lists and groups of further properties."""
    def is_shown(value):
        group = value.type == "POINTER" and value.fixed_type.identifier.startswith("MILO_PG")
        return not (value.is_hidden or value.type == "COLLECTION" or group)
    return {name: value for name, value in rna.properties.items()
            if name not in ("rna_type", "name", "bl_idname", *hidden) and is_shown(value)}


def complaints(owner, properties):
    found = []
    for name, value in properties.items():
        texts = [value.description]
        if value.type == "ENUM":
            texts += [item.description for item in value.enum_items]
            found += [f"{owner}.{name}: a choice without a name" for item in value.enum_items if not item.name]
        if not (value.name and value.description):
            found.append(f"{owner}.{name}: no name or no tooltip")
        found += [f"{owner}.{name}: a full stop at the end" for text in texts if text.rstrip().endswith(".")]
    return found


def test_every_operator_is_found_by_search(milo):
    """F3 finds what is in a menu; buttons that need a row of a list are no commands by themselves."""
    from check_photos import draw
    menu, operators = milo("panels.menu"), milo("operators").CLASSES
    listed = {cls.bl_idname for cls in operators if "INTERNAL" not in getattr(cls, "bl_options", ())}
    assert listed == set(draw(menu.MILO_MT_all)) and len(listed) > 20
    assert "milo.reconstruct" in listed and "milo.show_job" not in listed
    hooked = [function.__name__ for function in bpy.types.VIEW3D_MT_object.draw._draw_funcs]
    assert "draw_in_object_menu" in hooked                                # and this menu is in Blender's own


def test_every_operator_has_a_tooltip(milo):
    found = []
    for cls in milo("operators").CLASSES:
        space, _, name = cls.bl_idname.partition(".")
        rna = getattr(getattr(bpy.ops, space), name).get_rna_type()
        assert cls.bl_label == rna.name and rna.description and not rna.description.rstrip().endswith("."), cls
        assert cls.bl_label[0].isupper(), cls
        found += complaints(cls.__name__, settings(rna, hidden=("filepath", "filter_glob", "directory")))
    assert not found, "\n".join(found)


def test_every_setting_has_a_name_and_a_tooltip(milo):
    groups = ours(bpy.types.PropertyGroup) + ours(bpy.types.AddonPreferences)
    assert len(groups) > 4
    found = [text for cls in groups for text in complaints(cls.__name__, settings(cls.bl_rna))]
    manager = settings(bpy.types.WindowManager.bl_rna)
    found += complaints("WindowManager", {name: value for name, value in manager.items() if name.startswith("milo")})
    assert not found, "\n".join(found)


def test_every_panel_has_a_name_in_our_tab(milo):
    for cls in milo("panels").CLASSES:
        if issubclass(cls, bpy.types.Panel):
            assert cls.bl_label and cls.bl_space_type, cls
            assert cls.bl_region_type != "UI" or cls.bl_category == "MILo", cls


@pytest.fixture
def sources(milo):
    return sorted(Path(milo().__file__).parent.rglob("*.py"))


def test_every_icon_is_there(sources):
    """In this Blender, whichever it is."""
    icons = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    named = {}
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            pairs = [(word.arg, word.value) for word in node.keywords] if isinstance(node, ast.Call) else []
            for name, value in pairs:
                if name == "icon":
                    texts = (part.value for part in ast.walk(value) if isinstance(part, ast.Constant))
                    named |= {text: path.name for text in texts if isinstance(text, str) and text.isupper()}
    assert len(named) > 15 and not {icon: path for icon, path in named.items() if icon not in icons}
