"""A file of arrays that are read one by one, so that what is expected stays unread until it has been computed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from ikem.errors import InputError
from ikem.verify.tolerances import Array


class Source:
    """The arrays of an .npz file; `inputs` collects the names of those taken as input.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"is no file of arrays ({error})", location=str(path)) from error
        if not isinstance(self._file, np.lib.npyio.NpzFile):
            raise InputError("is no .npz file", location=str(path))
        self.names = list(self._file.files)
        self.inputs: list[str] = []

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def expected(self, name: str) -> Array:
        """Read an array to compare with.

        Raises:
            InputError: it is missing or damaged, or holds Python objects.
        """
        if name not in self.names:
            raise InputError("missing", location=name)
        try:
            array: Array = self._file[name]
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise InputError(f"cannot be read ({error})", location=name) from error
        return array

    def __getitem__(self, name: str) -> Array:
        """Read an array as input.

        Raises:
            InputError: it is missing or damaged, or holds a number that is not finite.
        """
        if name not in self.inputs:
            self.inputs.append(name)
        array = self.expected(name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError("holds a number that is not finite", location=name)
        return array

    def tensor(self, name: str) -> Tensor:
        """An input as a tensor of its own type."""
        return torch.from_numpy(np.array(self[name]))

    def clips(self, name: str, index: int | None = None) -> Tensor:
        """An input (N, C, T, V, M), or one of several, as (N, M, C, T, V)."""
        whole = self.tensor(name)
        return (whole if index is None else whole[index]).permute(0, 4, 1, 2, 3).contiguous()


def on_disk(clips: Tensor) -> Array:
    """(N, M, C, T, V) as (N, C, T, V, M)."""
    return clips.detach().permute(0, 2, 3, 4, 1).contiguous().numpy()
