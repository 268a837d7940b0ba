"""Whether the result of a job is the one that the plan asks for, and if there is none, why."""

from __future__ import annotations

import json
from typing import Any

from ikem.errors import InputError
from ikem.files import canonical_json, digest_file, read_json
from ikem.workflow.crashes import CAUSES
from ikem.workflow.logs import last_run
from ikem.workflow.plan import Job
from ikem.workflow.run_context import stamp_of


def fault_of(job: Job, thorough: bool = True) -> str | None:
    """Why the output of a job cannot be used, or None.

    Args:
        thorough: read every byte; else a file whose size and time are those of its making is taken to be unchanged.
    """
    if not job.output.exists():
        return "is missing"
    if not job.record.exists():
        return "has no run.json beside it"
    try:
        record = read_json(job.record)
        digest, contents, stamps = record.get("digest"), dict(record["outputs"]), dict(record.get("stamps", {}))
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return "has a run.json that cannot be read"
    if digest != job.digest:
        return f"was made under other settings ({', '.join(_differences(record.get('settings', {}), job.settings))})"
    if job.output.name not in contents:
        return "has a run.json that does not tell its content"
    for name, content in contents.items():
        path, which = job.output.with_name(name), "" if name == job.output.name else f"{name} beside it "
        if not path.exists():
            return f"{which}is missing"
        unchanged = not thorough and stamp_of(path) == stamps.get(name)
        if not unchanged and digest_file(path) != content:
            return f"{which}has changed since it was made"
    return _other_input(job, record)


def _other_input(job: Job, record: dict[str, Any]) -> str | None:
    """Results from elsewhere may have the same settings and yet not have been made from one another."""
    for name, used in dict(record.get("inputs", {})).items():
        part = job.inputs.get(name)
        if part is None or not part.output.exists() or not part.record.exists():
            continue
        try:
            lies_there = read_json(part.record)["outputs"][part.output.name]
        except (InputError, KeyError, TypeError):
            continue  # the fault is the input's own
        if used != lies_there:
            return f"was made from another {part.output} than lies there now"
    return None


def _differences(had: object, settings: dict[str, object]) -> list[str]:
    if not isinstance(had, dict):
        return ["unknown ones"]
    wanted = json.loads(canonical_json(settings))  # as the record was written: JSON has no tuples
    names = [name for name in sorted({*had, *wanted}) if had.get(name) != wanted.get(name)]
    upstream_had, upstream = had.get("upstream"), wanted.get("upstream")
    if isinstance(upstream_had, dict) and isinstance(upstream, dict) and names == ["upstream"]:
        return [f"upstream: {key}" for key in sorted(upstream) if upstream_had.get(key) != upstream[key]]
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
