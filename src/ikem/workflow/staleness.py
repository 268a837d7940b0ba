"""Whether the result of a job is the one that the plan asks for, and if there is none, why.

`Redo` is the one idea of what is done: Snakemake (rules/common.smk), `ikem run` and `status` all ask it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ikem.data.fingerprint import change_of, remember
from ikem.errors import InputError
from ikem.files import canonical_json, digest_file, read_json
from ikem.registry import JobName
from ikem.settings.data import Archive
from ikem.workflow.crashes import CAUSES
from ikem.workflow.logs import last_run
from ikem.workflow.plan import Job, Plan
from ikem.workflow.run_context import stamp_of


@dataclass(frozen=True)
class Reason:
    """Why a finished job has to run again: a fault of its own, or of a job that it is built on (the root)."""

    job: Job
    root: Job
    fault: str

    def __str__(self) -> str:
        return self.fault if self.job is self.root else f"is built on {self.root.title}, which {self.fault}"


class Redo:
    """Which finished jobs have to run again, and why. The files of a job are looked at once.

    A job whose files are gone is no fault of what was built on it: states and arrays can be deleted to make room.

    Args:
        data: the data folder; None: raw files are compared where they were found.
    """

    def __init__(self, data: str | Path | None = None) -> None:
        self._data = None if data is None else Path(data)
        self._found: dict[JobName, Reason | None] = {}

    def reason(self, job: Job) -> Reason | None:
        """Why the job has to run again; None if it is done, or has no output and nothing below it is at fault."""
        if job.name not in self._found:
            fault = fault_of(job, thorough=False, data=self._data) if job.output.exists() else None
            below = (found for part in job.inputs.values() if (found := self.reason(part)))
            root = next(below, None)
            if fault and not (root and fault.startswith(_UPSTREAM)):
                self._found[job.name] = Reason(job, job, fault)
            else:
                self._found[job.name] = root and Reason(job, root.root, root.fault)
        return self._found[job.name]

    def jobs(self, plan: Plan) -> list[Job]:
        """The jobs that have to run for all results of a plan, inputs before what is built on them."""
        due: set[JobName] = set()
        jobs = plan.all_jobs()
        asked = {job.name for job in plan.evaluation_jobs()}
        for job in reversed(jobs):  # what is built on a job has been seen before it
            if self.reason(job) or (job.name in asked and not job.output.exists()):
                due.add(job.name)
            if job.name in due:
                asked |= {part.name for part in job.inputs.values()}
        return [job for job in jobs if job.name in due]


def announcement(reasons: Iterable[Reason], most: int = 20) -> list[str]:
    """Lines that say how many finished jobs run again, and why: each that is itself at fault, at most so many."""
    finished = [reason for reason in reasons if reason.job.output.exists()]
    own = [reason for reason in finished if reason.job is reason.root]
    if not finished:
        return []
    lines = [f"{len(finished)} finished jobs will be redone, and their results overwritten:"]
    lines += [f"  {reason.job.title}: {reason.fault}" for reason in own[:most]]
    if len(own) > most:
        lines.append(f"  and {len(own) - most} more for reasons of their own (`status` lists them)")
    if len(finished) > len(own):
        lines.append(f"  and {len(finished) - len(own)} that are built on these")
    return lines


_SETTINGS = "was computed under other settings"
_UPSTREAM = f"{_SETTINGS} (upstream"


def fault_of(job: Job, thorough: bool = True, data: Path | None = None) -> str | None:
    """Why the output of a job cannot be used, or None.

    Args:
        thorough: read every byte; else a file whose size and time are those of its making is taken to be unchanged.
        data: the data folder, in which raw files are found now; None: where they were found.
    """
    if not job.output.exists():
        return "is missing"
    if not job.record.exists():
        return "has no run.json next to it"
    try:
        record = read_json(job.record)
        digest, contents, stamps = record.get("digest"), dict(record["outputs"]), dict(record.get("stamps", {}))
        inputs = {name: dict(files) for name, files in record["inputs"].items()}
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return "has a run.json that cannot be read"
    if digest != job.digest:
        return (
            f"was computed under other settings ({', '.join(_differences(record.get('settings', {}), job.settings))})"
        )
    if job.output.name not in contents:
        return "has a run.json that does not say what it contains"
    for name, content in contents.items():
        path, which = job.output.with_name(name), "" if name == job.output.name else f"{name} next to it "
        if not path.exists():
            return f"{which}is missing"
        unchanged = not thorough and stamp_of(path) == stamps.get(name)
        if not unchanged and digest_file(path) != content:
            return f"{which}has changed since it was written"
    return _other_input(job, inputs) or _other_raw_file(job, data)


def _other_input(job: Job, inputs: dict[str, dict[str, str]]) -> str | None:
    """Results from elsewhere may have the same settings and yet not be built on one another."""
    for name, used in inputs.items():
        part = job.inputs.get(name)
        if part is None or not part.output.exists():
            continue
        found = outputs_of(part)
        if found is None:
            continue  # the fault is the input's own
        for file in [part.output.name, *sorted({*used, *found})]:
            if used.get(file) != found.get(file):
                return f"was computed from another {part.output.with_name(file)} than is there now"
    return None


def outputs_of(job: Job) -> dict[str, str] | None:
    """SHA-256 of each file of a job as its record says; None if there is no record that can be read."""
    try:
        return dict(read_json(job.record)["outputs"])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _other_raw_file(job: Job, data: Path | None) -> str | None:
    if job.name.kind != "acquire":
        return None
    now = None
    if data is not None and "archives" in job.settings:
        from ikem.data.acquire import find  # what downloads takes a while to import

        now = find(Archive(**job.settings["archives"][job.settings["role"]]), data)
    change = change_of(job.output, now)
    return f"is not of the raw file that is there now ({change})" if change else None


def remember_raw_files(plan: Plan) -> None:
    """Raw files with new dates whose content has been read and is the same need not be read again."""
    for job in plan.all_jobs():
        if job.name.kind == "acquire":
            remember(job.output)


def _differences(had: object, settings: dict[str, object]) -> list[str]:
    """The names of the settings that differ, dotted; of what the job is built on only if nothing else does."""
    wanted = json.loads(canonical_json(settings))  # as the record was written: JSON has no tuples
    if not isinstance(had, dict) or not isinstance(had.get("upstream"), dict):
        return ["unknown ones"]
    upstream_had, upstream = had.get("upstream", {}), wanted.get("upstream", {})
    names = _differing(had | {"upstream": 0}, wanted | {"upstream": 0})
    return names or [f"upstream: {name}" for name in _differing(upstream_had, upstream)]


def _differing(had: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name in sorted({*had, *wanted}):
        before, now = had.get(name), wanted.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            names += _differing(before, now, f"{prefix}{name}.")
        elif before != now or (name in had) != (name in wanted):
            names.append(f"{prefix}{name}")
    return names


def failure_of(job: Job) -> str:
    """Why there is no result: how the last run of the job, or of what it builds on, ended."""
    own = ending_of(job)
    if own:
        return own
    for part in job.inputs.values():
        if not part.output.exists() and (reason := failure_of(part)) != NOT_RUN:
            return reason
    return NOT_RUN


NOT_RUN = "not run yet"


def ending_of(job: Job) -> str:
    """How the last run of a job without a result ended, in words; empty if there was none."""
    run = None if job.output.exists() else last_run(job.log)
    if run is None or run.end == "done":
        return ""
    if run.end == "error":
        return run.error
    after = f" after {run.epoch} began" if run.epoch else ""
    if run.end == "left":
        return f"left{after}, as asked"
    if run.end == "signal":
        return f"ended by {run.error}{after}: {CAUSES[run.error]}"
    # Every other end leaves a line in the log.
    return f"killed by SIGKILL{after} (or the machine went down): {CAUSES['SIGKILL']}"
