"""Whether the result of a job is the one that the plan asks for, and if there is none, why."""

from __future__ import annotations

from ikem.errors import InputError
from ikem.files import digest_file, read_json
from ikem.plan import Job


def fault_of(job: Job) -> str | None:
    """Why the output of a job cannot be used, or None."""
    if not job.output.exists():
        return "is missing"
    if not job.record.exists():
        return "has no run.json beside it"
    try:
        record = read_json(job.record)
        digest, content = record.get("digest"), record.get("outputs", {}).get(job.output.name)
    except (InputError, AttributeError):
        return "has a run.json that cannot be read"
    if digest != job.digest:
        return f"was made under other settings ({', '.join(_differences(record.get('settings', {}), job.settings))})"
    if content != digest_file(job.output):
        return "has changed since it was made"
    return None


def _differences(had: object, wanted: dict[str, object]) -> list[str]:
    if not isinstance(had, dict):
        return ["unknown ones"]
    names = [name for name in sorted({*had, *wanted}) if had.get(name) != wanted.get(name)]
    upstream_had, upstream = had.get("upstream"), wanted.get("upstream")
    if isinstance(upstream_had, dict) and isinstance(upstream, dict) and names == ["upstream"]:
        return [f"upstream: {key}" for key in sorted(upstream) if upstream_had.get(key) != upstream[key]]
    return names


def failure_of(job: Job) -> str:
    """Why there is no result: the last error in the logs of the job or of what it builds on."""
    for part in (job, *job.inputs.values()):
        if not part.output.exists() and part.log.exists():
            lines = part.log.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
            if errors:
                return errors[-1]
    for part in job.inputs.values():
        if not part.output.exists():
            return failure_of(part)
    return "not run yet"
