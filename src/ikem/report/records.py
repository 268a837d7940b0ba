"""What the run.json files of the jobs record: versions, commit, device, times."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ikem.errors import InputError
from ikem.files import read_json
from ikem.report.results import clean
from ikem.workflow.code_digest import code_digest


@dataclass(frozen=True)
class Record:
    """The run.json of a job.

    Attributes:
        path: the file.
        kind: kind of the job.
        seed, device, commit, digest, started, finished: as the file says; empty where it says nothing.
        other_code: whether it was computed by another version of the code than this one.
        versions: version of each package.
        seconds: wall time of the job, seconds.
    """

    path: Path
    kind: str
    seed: str
    device: str
    commit: str
    digest: str
    started: str
    finished: str
    versions: dict[str, str]
    seconds: float
    other_code: bool


def read_records(paths: Iterable[Path]) -> tuple[list[Record], list[Path]]:
    """Records of the jobs, sorted by path, and the files that are none."""
    records: list[Record] = []
    unreadable: list[Path] = []
    for path in sorted(set(paths)):
        try:
            records.append(_record(path, read_json(path)))
        except (InputError, TypeError, ValueError, AttributeError, KeyError):
            unreadable.append(path)
    return records, unreadable


def facts_of(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(name, value) of what holds for all jobs; where they differ, how many have which."""
    if not records:
        return []
    packages = sorted({name for record in records for name in record.versions})
    started = sorted(record.started for record in records if record.started)
    finished = sorted(record.finished for record in records if record.finished)
    facts = [
        ("Jobs", str(len(records))),
        ("First started", started[0] if started else ""),
        ("Last finished", finished[-1] if finished else ""),
        ("Time of all jobs", duration(sum(record.seconds for record in records))),
        ("Device", _counted(record.device for record in records)),
        ("Commit", _counted(record.commit for record in records)),
        ("Computed by another version of the code", other_code(records)),
    ]
    for package in packages:
        facts.append((package, _counted(record.versions.get(package, "") for record in records)))
    return [(name, value) for name, value in facts if value]


def other_code(records: Iterable[Record]) -> str:
    """How many jobs of each kind were computed by another version of their code: "embed (1 job)"; empty if none."""
    counts = Counter(record.kind for record in records if record.other_code)
    return ", ".join(_jobs(kind, count) for kind, count in sorted(counts.items()))


def kind_lines(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Number of jobs of each kind, and their times."""
    kinds = dict.fromkeys(record.kind for record in sorted(records, key=lambda record: record.started))
    lines = []
    for kind in kinds:
        seconds = [record.seconds for record in records if record.kind == kind]
        lines.append(
            {
                "name": kind,
                "count": len(seconds),
                "total": duration(sum(seconds)),
                "longest": duration(max(seconds)),
            }
        )
    return lines


def job_lines(records: Sequence[Record], home: Path) -> list[dict[str, str]]:
    """A line for each job, in the order in which they started; paths are relative to `home`."""
    ordered = sorted(records, key=lambda record: (record.started, record.path))
    return [
        {
            "path": Path(os.path.relpath(record.path, home)).as_posix().removesuffix(".run.json"),
            "kind": record.kind,
            "seed": record.seed,
            "device": record.device,
            "started": record.started,
            "finished": record.finished,
            "time": duration(record.seconds),
            "commit": record.commit[:10],
            "digest": record.digest[:12],
        }
        for record in ordered
    ]


def span(records: Iterable[Record]) -> float | None:
    """Seconds from the start of the first job to the end of the last; None where a record does not say when it was."""
    try:
        times = [(datetime.fromisoformat(each.started), datetime.fromisoformat(each.finished)) for each in records]
        return (max(finished for _, finished in times) - min(started for started, _ in times)).total_seconds()
    except (ValueError, TypeError):
        return None


def duration(seconds: float) -> str:
    """Seconds as a person says them: `3.2 s`, `4 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _record(path: Path, content: Any) -> Record:
    settings = content.get("settings") or {}
    words = {
        name: clean("" if content.get(name) is None else str(content[name]))
        for name in ("seed", "device", "commit", "digest", "started", "finished")
    }
    versions = {clean(str(name)): clean(str(value)) for name, value in (content.get("versions") or {}).items()}
    kind = clean(str(settings.get("kind", "")))
    other_code = content.get("code") != code_digest(settings)
    seconds = float(content["seconds"])
    return Record(path=path, kind=kind, versions=versions, seconds=seconds, other_code=other_code, **words)


def _counted(values: Iterable[str]) -> str:
    counts = Counter(value or "not known" for value in values)
    if len(counts) == 1:
        only = next(iter(counts))
        return "" if only == "not known" else only
    return ", ".join(_jobs(name, count) for name, count in sorted(counts.items()))


def _jobs(name: str, count: int) -> str:
    return f"{name} ({count} job{'s' if count > 1 else ''})"
