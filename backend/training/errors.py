# SPDX-License-Identifier: Apache-2.0
"""What can go wrong while a reconstruction runs, said in a sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class TrainingError(RuntimeError):
    """A reconstruction cannot go on; the message says why and what to do."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the file system into a TrainingError that names the file and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(f"The disk is full: {path} could not be written. Free some space and resume; nothing "
                                "before the last checkpoint is lost.") from error
        raise TrainingError(f"{path} could not be written: {error.strerror or error}. Check the folder's permissions, "
                            "then resume.") from error
