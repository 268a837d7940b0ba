"""Raw files: found in the data folder, or downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ikem.errors import InputError
from ikem.files import read_json, write_json

if TYPE_CHECKING:
    from ikem.job import Job


def acquire(job: Job, inputs: Mapping[str, Path], data: Path) -> None:
    """Run an `acquire` job: find or get the raw file of one role, and write where it is."""
    from ikem.plan import MADE

    role = job.settings["role"]
    if "made" in inputs:
        made = inputs["made"]
        path = next(made.with_name(names[role]) for names in MADE.values() if names["skeletons"] == made.name)
    else:
        path = data / job.settings["archives"][role]["file"]
    if not path.exists():
        raise InputError("is missing", where=str(path))
    write_json(job.output, {"path": str(path), "bytes": path.stat().st_size if path.is_file() else None})


def located(record: Path) -> Path:
    """The raw file that an `acquire` job found.

    Raises:
        InputError: it is gone, or another file has taken its place.
    """
    found = read_json(record)
    mend = f"Put it back, or delete {record} to have it looked for again"
    path = Path(found["path"])
    if not path.exists():
        raise InputError("is gone", where=str(path), mend=mend)
    if found["bytes"] is not None and path.stat().st_size != found["bytes"]:
        raise InputError("is another file than before (its size has changed)", where=str(path), mend=mend)
    return path
