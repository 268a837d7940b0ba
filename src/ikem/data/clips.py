"""What a reader gives: clips, and the reasons why something is none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError

Floats = NDArray[np.float32]

BODIES = 2
"""M: bodies kept of a frame."""

LARGEST = 1000.0
"""Metres. A coordinate beyond it is no measurement of a room."""

LARGEST_LABEL = 999
"""Classifiers and confusion matrices have a row for each label up to the highest."""

MOST_FRAMES = 100_000
"""Frames of a clip or video. More is a broken file (the longest known videos have some thousands)."""


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: name of the clip, unique in its dataset.
        label: class, from 0.
        coordinates: (T, M=2, V, 3) float32, meters; an absent body is all zero.
        columns: further columns of samples.csv.
    """

    name: str
    label: int
    coordinates: Floats
    columns: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reject:
    """Why a clip is rejected: a row of rejected.csv.

    Attributes:
        archive, member: file.
        line: line of the file, from 1; 0: no line in particular.
        reason: what is wrong.
        clips: number of clips that are lost with it; a video has several.
    """

    archive: str
    member: str
    line: int
    reason: str
    clips: int = 1


@dataclass(frozen=True)
class Dropped:
    """A clip that is left out though nothing is wrong with it; the summary counts it under `reason`."""

    reason: str


class ClipError(InputError):
    """A clip cannot be used.

    Attributes:
        line: line of the file, from 1; 0 where no line is to blame.
    """

    def __init__(self, message: str, *, location: str, line: int = 0, hint: str | None = None) -> None:
        self.line = line
        described = f"{location}, line {line}" if line else location
        super().__init__(message, location=described, hint=hint or "Get the file again from its owner, or leave it out")


def check_values(coordinates: Floats, location: str) -> None:
    """Raise ClipError if a coordinate is not a number, infinite, or absurdly large."""
    if not np.isfinite(coordinates).all():
        raise ClipError("holds a coordinate that is not a finite number", location=location)
    if coordinates.size and max(coordinates.max(), -coordinates.min()) > LARGEST:
        raise ClipError(f"holds a coordinate beyond {LARGEST:g} m", location=location)


def check_body(coordinates: Floats, location: str) -> None:
    """Raise ClipError if the clip has no frame, or its first body never appears (its first joint is always zero)."""
    if not len(coordinates):
        raise ClipError("has no frames", location=location)
    if not coordinates[:, 0, 0].any():
        raise ClipError("its first body never appears", location=location)


def body_count(coordinates: Floats) -> int:
    """Number of the two bodies that appear in any frame."""
    return int(coordinates.any(axis=(0, 2, 3)).sum())


NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
"""Setup, camera, performer, replication, action."""


NONE_MISSING = "No clip is missing."
"""A list that says so may name none; any other that names none was cut off, or is no list."""


def read_name_list(path: Path) -> frozenset[str]:
    """Names of clips to leave out: a CSV with a column `sample`, or text with an NTU name a line (headers are skipped).

    Returns:
        the names; none where a line says NONE_MISSING.

    Raises:
        InputError: the file cannot be read, or names nothing and does not say so.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"list of clips to leave out cannot be read ({error})", location=str(path)) from error
    if rows and "sample" in rows[0]:
        if not text.endswith(("\n", "\r")):
            raise InputError("may be cut off: its last line has no end", location=str(path))
        column = rows[0].index("sample")
        names = [row[column].strip() for row in rows[1:] if len(row) > column]
    else:
        lines = [line.strip().removesuffix(".skeleton") for line in re.split("\r\n|\n|\r", text)]
        if NONE_MISSING in lines and not any(NTU_NAME.fullmatch(line) for line in lines):
            return frozenset()
        names = []
        for number, line in enumerate(lines, start=1):
            if NTU_NAME.fullmatch(line):
                names.append(line)
            elif names and line:  # no header any more
                raise InputError(f"{line[:40]!r} is no name of a clip", location=f"{path}, line {number}")
    if not names:
        raise InputError(
            "names no clip",
            location=str(path),
            hint="Expected is a CSV with a column 'sample', or a line such as S001C001P001R001A001 for each clip",
        )
    return frozenset(names)
