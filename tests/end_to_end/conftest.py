# SPDX-License-Identifier: Apache-2.0
"""The Python that has bpy."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def bpy_python() -> Path:
    path = Path(os.environ.get("MILO_BPY_PYTHON", str(ROOT / ".venv-bpy" / "bin" / "python")).split()[0]).absolute()
    if not path.exists():
        if "MILO_BPY_PYTHON" in os.environ:
            pytest.fail(f"MILO_BPY_PYTHON names {path}, which is not there.")
        pytest.skip("No bpy environment: `make test` makes one, or name a Python with bpy in MILO_BPY_PYTHON.")
    return path
