"""The former layout of models and states: a NumPy `.npz` archive with a description. It is only read.

The description is a JSON text in the archive, `layer.json` or `state.json`. Each array is a member under its path,
`0/kernel.npy`. A bfloat16 array is stored as its bits, uint16. The zip format has a checksum of each member.
"""

import json
import os
import zipfile
from io import BufferedReader
from typing import Any

import numpy as np

from densefn import _npz, _safetensors

_ARRAY = ".npy"


class Zipped:
    """An open archive, whose list of members has been checked.

    Attributes:
      size: the size of the file, in bytes.
      description: the parsed description.
      names: the names of the arrays.

    Raises:
      Exception: if the file is not such an archive: the readers of zip and JSON raise errors of many types.
    """

    def __init__(self, file: BufferedReader):
        self._archive, self.size = zipfile.ZipFile(file), os.fstat(file.fileno()).st_size
        members = _npz.members(self._archive)
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("expected members that are not compressed")
        found = [member.filename for member in members]
        self.names = [name.removesuffix(_ARRAY) for name in found if name.endswith(_ARRAY)]
        others = [name for name in found if not name.endswith(_ARRAY)]
        if len(others) != 1:
            raise ValueError(f"expected arrays and layer.json or state.json, got {others} beside the arrays")
        self.description: Any = json.loads(self._archive.read(others[0]), parse_constant=_safetensors.refuse)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and dtype of an array."""
        with self._archive.open(name + _ARRAY) as member:
            shape, order, dtype = _npz.header(member)
        if order != "C":
            raise ValueError(f"expected {name} in C order")
        return shape, dtype

    def array(self, name: str) -> np.ndarray:
        """Reads an array. `zipfile` compares the checksum when it reaches the end of the member."""
        with self._archive.open(name + _ARRAY) as member:
            shape, _, dtype = _npz.header(member)
            return np.frombuffer(member.read(), dtype).reshape(shape)
