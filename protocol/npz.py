# SPDX-License-Identifier: Apache-2.0
"""npz files that a stranger may have written."""

import io
import zipfile
from pathlib import Path

import numpy as np

from .arrays import Array
from .errors import ProtocolError, bad


class StoredArrays:
    """The arrays of an npz whose members are not compressed, so that none can be larger than the file."""

    def __init__(self, file: Path | str | io.BytesIO):
        self.name = "The file" if isinstance(file, io.BytesIO) else str(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (OSError, zipfile.BadZipFile) as error:
            raise ProtocolError("bad_request", f"{self.name} cannot be read: {error}.", "Save it again.") from None

    def get(self, name: str, declared: Array) -> np.ndarray:
        try:
            info = self._zip.getinfo(name + ".npy")
            if info.compress_type != zipfile.ZIP_STORED:
                raise bad(f"{self.name}, {name}", "it is compressed")
            with self._zip.open(info) as member:
                values = np.lib.format.read_array(member, allow_pickle=False)
        except (KeyError, ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            raise bad(f"{self.name}, {name}", f"it cannot be read ({error})") from None
        declared.check(values.dtype.name, values.shape, f"{self.name}, {name}")
        return values

    def close(self) -> None:
        self._zip.close()

    def __enter__(self) -> "StoredArrays":
        return self

    def __exit__(self, *_) -> None:
        self.close()
