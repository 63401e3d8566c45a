# SPDX-License-Identifier: Apache-2.0
"""Texts with figures in them can be translated: the text is looked up first, and filled afterwards."""

import ast
from pathlib import Path

import pytest

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"
SHOWN = {"label", "prop", "operator", "progress", "menu", "report", "poll_message_set", "status_text_set",
         "draw_text", "CameraError", "SurfaceError"}


def untranslatable(tree: ast.AST) -> list[str]:
    """Words in f-strings that are shown as they are: `label(text=f"{n} cameras")`."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name not in SHOWN:
            continue
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            parts = (part for value in ast.walk(argument) if isinstance(value, ast.JoinedStr) for part in value.values)
            found += [f"line {part.lineno}: {part.value!r}" for part in parts
                      if isinstance(part, ast.Constant) and any(map(str.isalpha, part.value))
                      and not part.value.startswith("milo.")]
    return found


@pytest.mark.parametrize("path", sorted(ADDON.rglob("*.py")), ids=lambda path: path.relative_to(ADDON).as_posix())
def test_no_words_in_f_strings(path):
    """Write iface_("{} cameras").format(count) (labels) or rpt_(...) (reports), of bpy.app.translations."""
    assert untranslatable(ast.parse(path.read_text())) == []


def test_the_check_sees_them():
    assert untranslatable(ast.parse('layout.label(text=f"{n} cameras")'))
    assert not untranslatable(ast.parse('layout.label(text=iface_("{} cameras").format(n))'))
    assert not untranslatable(ast.parse('layout.label(text=f"{a}: {b}")'))
