# SPDX-License-Identifier: Apache-2.0
"""The folder that a demo leaves its results in: emptied at the next run, but only if a demo made it."""

import shutil
from pathlib import Path

MARKER = ".milo-demo"   # a file that only a demo writes


def make_anew(folder: Path) -> None:
    """Make an empty folder, in the place of one that a demo has left. Exits where there is anything else."""
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARKER).is_file()):
            raise SystemExit(f"{folder} holds other files than a demo's: choose an empty folder for --out.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text("A demo of MILo made this folder: the next one deletes it with all that is in it.\n")
