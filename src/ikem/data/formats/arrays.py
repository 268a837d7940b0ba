"""Bring your own: a folder with `skeletons.npy` and `samples.csv` makes a dataset without code; see docs/data.md."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikem.data.archives import read_text
from ikem.data.clips import (
    BODIES,
    LARGEST_LABEL,
    MOST_FRAMES,
    Clip,
    ClipError,
    Floats,
    Reject,
    check_body,
    check_values,
)
from ikem.data.formats.base import ReadingPlan, Request, Result
from ikem.errors import InputError

ROLE, ARRAY, TABLE = "folder", "skeletons.npy", "samples.csv"

_NUMBERS = ("subject", "camera", "setup", "replication")
_OURS = ("name", "label", "start", "frames", "bodies")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TASK_FRAMES = 16384


@dataclass(frozen=True)
class Row:
    """A clip of samples.csv: which frames are its, what else is said of it, and in which line (from 1)."""

    name: str
    label: int
    start: int
    frames: int
    columns: dict[str, int | str]
    line: int


class ArraysReader:
    """`format: arrays`."""

    def plan(self, request: Request, left_out: frozenset[str]) -> ReadingPlan:
        """See Reader."""
        folder = request.archive(ROLE)
        _mapped.cache_clear()
        shape = _mapped(folder / ARRAY).shape
        rows, rejected, ragged = _read_table(folder / TABLE)
        _check_shape(shape, ragged, request.joints, len(rows) + len(rejected), folder / ARRAY)
        bodies = shape[-3] if len(shape) == (4 if ragged else 5) else 1
        if not ragged:  # each clip has T frames in the array; a column `frames` says how many of them it fills
            rows = [
                replace(row, start=row.start * shape[1], frames=shape[1] if row.frames < 0 else row.frames)
                for row in rows
            ]
        last = shape[0] if ragged else shape[0] * shape[1]
        longest = min(MOST_FRAMES, last if ragged else shape[1])
        plan = ReadingPlan(0, (), rejected)
        kept = []
        for row in sorted(rows, key=lambda row: row.name):
            if row.name in left_out:
                plan.left_out["missing list"] = plan.left_out.get("missing list", 0) + 1
            elif not (row.start >= 0 and 0 < row.frames <= longest and row.start + row.frames <= last):
                reason = f"its frames are not within the array's {last} (or {longest} of a clip)"
                plan.rejected.append(Reject(folder.name, TABLE, row.line, reason))
            else:
                kept.append(row)
        plan.total, plan.tasks = len(kept), ((bodies, rows) for rows in _tasks(kept))
        return plan

    def read(self, request: Request, task: tuple[int, tuple[Row, ...]]) -> list[Result]:
        """See Reader."""
        folder = request.archive(ROLE)
        bodies, rows = task
        flat = _mapped(folder / ARRAY).reshape(-1, bodies, request.joints, 3)
        result: list[Result] = []
        for row in rows:
            try:
                result.append(Clip(row.name, row.label, _frames(flat, row, request.joints), row.columns))
            except ClipError as error:
                result.append(Reject(folder.name, TABLE, row.line, error.message))
        return result


def _frames(flat: NDArray[Any], row: Row, joints: int) -> Floats:
    """(T, M=2, V, 3) float32 of a clip."""
    coordinates = np.zeros((row.frames, BODIES, joints, 3), np.float32)
    with np.errstate(over="ignore"):
        coordinates[:, : flat.shape[1]] = flat[row.start : row.start + row.frames]
    location = f"{TABLE}, {row.name}"
    check_values(coordinates, location)
    check_body(coordinates, location)
    return coordinates


def map_floats(path: Path) -> NDArray[Any]:
    """A memory map of a `.npy` file of floating-point numbers in C order; nothing is unpickled.

    Raises:
        InputError: it is no such file.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # on headers that Python 2 wrote
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", location=str(path)) from error
    except Exception as error:  # a broken header fails in many ways
        raise InputError(f"is no whole .npy file of numbers ({error})", location=str(path)) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.flags.c_contiguous:
        raise InputError(
            "must be one array of floating-point numbers in C order",
            location=str(path),
            hint="Save it with numpy.save(path, numpy.ascontiguousarray(array, 'float32'))",
        )
    return array


_mapped = lru_cache(maxsize=4)(map_floats)


def _check_shape(shape: tuple[int, ...], ragged: bool, joints: int, clips: int, path: Path) -> None:
    frames = "F" if ragged else "N, T"
    fits = len(shape) in ((3, 4) if ragged else (4, 5)) and shape[-2:] == (joints, 3)
    with_bodies = len(shape) == (4 if ragged else 5)
    if not fits or (with_bodies and not 1 <= shape[-3] <= BODIES):
        raise InputError(
            f"has the shape {shape}, expected ({frames}, {joints}, 3) or ({frames}, M, {joints}, 3) with M up to "
            f"{BODIES}: {TABLE} has {'a' if ragged else 'no'} column start, the skeleton {joints} joints",
            location=str(path),
        )
    if not ragged and shape[0] != clips:
        raise InputError(f"has {shape[0]} clips, {TABLE} has {clips} rows", location=str(path))


def _tasks(rows: list[Row]) -> Iterator[tuple[Row, ...]]:
    batch: list[Row] = []
    frames = 0
    for row in rows:
        if batch and frames + row.frames > _TASK_FRAMES:
            yield tuple(batch)
            batch, frames = [], 0
        batch.append(row)
        frames += row.frames
    if batch:
        yield tuple(batch)


def _read_table(path: Path) -> tuple[list[Row], list[Reject], bool]:
    """Rows, rejected rows, and whether clips are found by a column `start` (else row i is clip i, and `start` is i)."""
    text = read_text(path)
    if text and not text.endswith(("\n", "\r")):
        raise InputError(
            "may be cut off: its last line has no end",
            location=str(path),
            hint="Compare the last row with what it should be, then end it with a line feed",
        )
    # Only a line feed or carriage return ends a row: str.splitlines also breaks at separators inside a field.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise InputError(f"is no CSV table ({error})", location=f"{path}, line {reader.line_num}") from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    ragged = "start" in header
    needed = ("name", "label", "start", "frames") if ragged else ("name", "label")
    absent = [name for name in needed if name not in header]
    odd = [name for name in header if not _COLUMN.fullmatch(name)]
    if absent or odd or len(set(header)) < len(header):
        fault = f"has no column {', '.join(absent)}" if absent else f"has columns with odd or equal names: {header}"
        raise InputError(fault, location=f"{path}, line 1", hint="See docs/data.md for the layout")
    more = [name for name in header if name not in _OURS]
    rows: list[Row] = []
    rejected: list[Reject] = []
    names: set[str] = set()
    for number, (line, fields) in enumerate(lines[1:]):
        problem = _problem(fields, header, names)
        if problem is not None:
            rejected.append(Reject(path.parent.name, path.name, line, problem))
            continue
        values = dict(zip(header, (field.strip(" \t") for field in fields), strict=True))
        names.add(values["name"])
        columns: dict[str, int | str] = {key: int(values[key]) if key in _NUMBERS else values[key] for key in more}
        start, frames = int(values.get("start", number)), int(values.get("frames", -1))
        rows.append(Row(values["name"], int(values["label"]), start, frames, columns, line))
    return rows, rejected, ragged


def _field(fields: list[str], header: list[str], name: str) -> str:
    column = header.index(name)
    return fields[column].strip(" \t") if column < len(fields) else ""


def _problem(fields: list[str], header: list[str], names: set[str]) -> str | None:
    """What is wrong with a row of the table, or None."""
    if len(fields) != len(header):
        return f"the row has {len(fields)} fields, the header {len(header)}"
    name = _field(fields, header, "name")
    if not name or len(name) > 200 or not name.isprintable():
        return "its name is empty, too long, or not printable"
    if name in names:
        return f"another clip has the name {name}"
    for key in ("label", "start", "frames", *_NUMBERS):
        if key in header:
            value = _field(fields, header, key)
            if not _WHOLE.fullmatch(value) or (key in _OURS and int(value) < (key == "frames")):
                return f"{key} is {value[:40]!r}, expected a whole number{' from 0' if key in _OURS else ''}"
    if int(_field(fields, header, "label")) > LARGEST_LABEL:
        return f"its label is beyond {LARGEST_LABEL}; labels count from 0"
    return None
