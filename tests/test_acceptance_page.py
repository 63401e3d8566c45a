# SPDX-License-Identifier: Apache-2.0
"""docs/acceptance.md names tests that exist, and leaves out no check of the specifications' lists."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "acceptance.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


def test_every_named_test_exists():
    assert len(NAMED) > 100
    functions = {path: {node.name for node in ast.walk(ast.parse((TESTS / path).read_text(encoding="utf-8")))
                        if isinstance(node, ast.FunctionDef)} for path, _ in NAMED}
    assert [f"{path}::{name}" for path, name in NAMED if name not in functions[path]] == []


@pytest.mark.parametrize(("heading", "checks"), [
    ("Training", {str(n) for n in range(1, 10)}),
    ("Rasterisers", {f"T{n}" for n in range(1, 23)} | {f"S{n}" for n in range(1, 6)}),
    ("Extraction", {str(n) for n in range(1, 13)}),
])
def test_no_check_is_left_out(heading, checks):
    section = PAGE.split(f"\n## {heading}")[1].split("\n## ")[0]
    found = {word for line in section.splitlines() if line.startswith("| ")
             for word in re.findall(r"[TS]?\d+", line[2:].split(":")[0])}
    assert checks <= found


def test_no_oddity_of_extraction_is_left_out():
    """Those of editing have a page of their own."""
    found = set()
    for line in PAGE.split("Of extraction_evaluation_editing.md")[1].splitlines():
        if line.startswith("| Q-"):
            found |= {int(number) for number in re.findall(r"Q-(\d+)", line.split("|")[1])}
    assert found == set(range(1, 28)) - set(range(15, 21))
