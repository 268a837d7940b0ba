"""Writing and opening `.npy` files piece by piece: nothing is unpickled, nothing needs the whole array in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ikem.data.clips import Floats
from ikem.errors import InputError
from ikem.files import cannot_write

_HEADER = 256  # bytes; the shape is known only at the end, so the header has a size that fits any


class ArrayWriter:
    """Writes a float32 array (rows, ...) row after row; `with` closes it and completes its header.

    Plain writes, not a memory map: a full disk is then an error, not a crash.
    """

    def __init__(self, path: Path, row_shape: Sequence[int]) -> None:
        self.path, self.row_shape, self.rows = path, tuple(row_shape), 0
        self._stream = path.open("wb")
        self._stream.write(self._header())

    def _header(self) -> bytes:
        text = repr({"descr": "<f4", "fortran_order": False, "shape": (self.rows, *self.row_shape)}).encode("latin1")
        body = text.ljust(_HEADER - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body

    def append(self, rows: Floats) -> None:
        """Add rows."""
        if rows.shape[1:] != self.row_shape or rows.dtype != np.float32:
            raise ValueError(f"rows of shape {rows.shape[1:]}, {rows.dtype} do not fit {self.row_shape}, float32")
        self._stream.write(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._stream.seek(0)
                self._stream.write(self._header())
                self._stream.flush()
                os.fsync(self._stream.fileno())
        finally:
            self._stream.close()


def open_array(path: Path, row_shape: Sequence[int] | None = None) -> Floats:
    """Open an array of ours, mapped into memory, read-only.

    Args:
        path: a `.npy` file of float32, C order.
        row_shape: if given, what the shape must be after its first axis.

    Raises:
        InputError: the file is missing, cut off, or something else than such an array.
    """
    hint = "Delete it and run again; it will be computed again"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", location=str(path), hint=hint) from error
    except Exception as error:  # a broken header fails in many ways, from the tokenizer's to arithmetic ones
        raise InputError(f"is broken or cut off ({error})", location=str(path), hint=hint) from error
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype("<f4") or not array.flags.c_contiguous:
        raise InputError("is no array of little-endian float32 in C order", location=str(path), hint=hint)
    size = path.stat().st_size
    if isinstance(array, np.memmap) and array.offset + array.nbytes != size:
        raise InputError("is longer than its header says", location=str(path), hint=hint)
    if row_shape is not None and array.shape[1:] != tuple(row_shape):
        raise InputError(f"has the shape {array.shape}, expected (..., {row_shape})", location=str(path), hint=hint)
    return array


class RowReader:
    """Reads rows of an array of ours by plain reads: unlike a map's pages, what was read does not stay in memory."""

    def __init__(self, path: Path, row_shape: Sequence[int] | None = None) -> None:
        array = open_array(path, row_shape)
        self.path, self.shape = path, array.shape
        self._offset = path.stat().st_size - array.nbytes
        self._stream = path.open("rb")

    def __len__(self) -> int:
        return int(self.shape[0])

    def rows(self, first: int, last: int) -> Floats:
        """Rows from `first` up to, not including, `last`."""
        size = int(np.prod(self.shape[1:]))
        self._stream.seek(self._offset + first * size * 4)
        values = np.fromfile(self._stream, "<f4", (last - first) * size)
        if len(values) != (last - first) * size:
            raise InputError("has been cut off", location=str(self.path), hint="Delete it and run again")
        return values.astype(np.float32, copy=False).reshape(-1, *self.shape[1:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()


def clip_chunks(frames: NDArray[np.int64], most_frames: int = 16384) -> Iterator[tuple[int, int]]:
    """First and last + 1 clip of chunks of a bounded number of frames (one clip at least)."""
    first, total = 0, 0
    for clip, count in enumerate(frames.tolist()):
        if clip > first and total + count > most_frames:
            yield first, clip
            first, total = clip, 0
        total += count
    if first < len(frames):
        yield first, len(frames)


@contextmanager
def staging(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a scratch folder; when the block ends well, the files `names` in it take their places in `folder`.

    They move in the order given, so the last one is there only when all are. If the block raises, `folder` is as it
    was. What an earlier, killed run left in the scratch folder is removed.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    scratch = folder / f".{names[-1]}.unfinished"
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        (folder / names[-1]).unlink(missing_ok=True)
        for name in names:
            (scratch / name).replace(folder / name)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
