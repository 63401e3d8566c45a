# SPDX-License-Identifier: Apache-2.0
"""Everything that needs bpy, run in it: see conftest.py and inside/."""

from pathlib import Path

import pytest

CHECKS = sorted(path.stem.removeprefix("check_") for path in (Path(__file__).parent / "inside").glob("check_*.py"))


@pytest.mark.parametrize("name", CHECKS)
def test_inside(bpy, name):
    bpy.check(name)
