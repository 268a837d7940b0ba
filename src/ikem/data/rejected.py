"""Rejected clips: collected, counted, limited, and stored in rejected.csv."""

from __future__ import annotations

import collections
import csv
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

from ikem.data.clips import Reject
from ikem.errors import InputError
from ikem.files import spreadsheet_cell, text_of_cell
from ikem.settings.data import Decode

_REASONS = 20
"""Reasons of rejection that the summary counts."""


class Rejected:
    """Collects what is rejected, and stops as soon as it is more clips than may be."""

    def __init__(self, known: Iterable[Reject], settings: Decode, total: int) -> None:
        self.found: list[Reject] = []
        self.clips = 0
        self._settings, self._total = settings, total
        for reject in known:
            self.add(reject)

    def add(self, reject: Reject) -> None:
        """Add one; raise InputError if it is one too many, or if none may be."""
        self.found.append(reject)
        self.clips += reject.clips
        if self._settings.on_bad_clip == "stop":
            line = f", line {reject.line}" if reject.line else ""
            raise InputError(
                reject.reason,
                location=f"{reject.archive}: {reject.member}{line}",
                hint="Get the file again from its owner, or set datasets.NAME.decode.on_bad_clip: reject",
            )
        if self.clips > max(self._settings.max_rejected * self._total, 1000):
            self.check(self._total - self.clips)

    def by_reason(self) -> dict[str, int]:
        """Number of clips of the most frequent reasons."""
        count: collections.Counter[str] = collections.Counter()
        for reject in self.found:
            count[reject.reason] += reject.clips
        return dict(count.most_common(_REASONS))

    def check(self, clips: int) -> None:
        """Raise InputError if too large a share is rejected, or nothing is left."""
        total = clips + self.clips
        if not total:
            raise InputError("there is no clip to read", hint="Check the archives and the list of clips to leave out")
        if self.clips <= self._settings.max_rejected * total and clips:
            return
        examples = "; ".join(
            f"{reject.archive}: {reject.member}{f', line {reject.line}' if reject.line else ''}: {reject.reason}"
            for reject in self.found[:3]
        )
        reasons = "; ".join(f"{count} x {reason}" for reason, count in list(self.by_reason().items())[:3])
        raise InputError(
            f"{self.clips} of {total} clips cannot be used, more than datasets.NAME.decode.max_rejected "
            f"({self._settings.max_rejected:g}) allows: {reasons}. For example {examples}",
            hint="Get the archive again from its owner, or raise it",
        )


def write_rejected(path: Path, rejected: Iterable[Reject]) -> None:
    """Write rejected.csv; a name that a spreadsheet would take for a formula has `'` before it."""
    with path.open("w", encoding="utf-8", newline="", errors="backslashreplace") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["archive", "member", "line", "reason", "clips"])
        for reject in rejected:
            cells = [spreadsheet_cell(value) if isinstance(value, str) else value for value in astuple(reject)]
            # The writer does not quote a carriage return, at which readers end a row.
            (quoted if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)


def read_rejected(path: Path) -> list[tuple[str, str]]:
    """Member and reason, with the line, of each row of rejected.csv."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        (
            text_of_cell(row["member"]),
            (f"line {row['line']}: " if row["line"] != "0" else "") + text_of_cell(row["reason"]),
        )
        for row in rows
    ]
