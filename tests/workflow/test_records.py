"""A run.json against the plan: what is compared, and what is not a difference. No job runs here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ikem.files import digest_file, write_json
from ikem.settings.loading import load_config
from ikem.workflow.plan import Job, Plan
from ikem.workflow.staleness import fault_of
from job_support import write_config


def finished(job: Job, *others: str, **changes: object) -> Job:
    """The job with an output, further files and a record, as if it had run on what its inputs' records say."""
    job.output.parent.mkdir(parents=True, exist_ok=True)
    for name in (job.output.name, *others):
        if not job.output.with_name(name).exists():
            job.output.with_name(name).write_text(f"{job.title} {name}")
    outputs = {name: digest_file(job.output.with_name(name)) for name in (job.output.name, *others)}
    record = {"settings": json.loads(json.dumps(job.settings)), "digest": job.digest, "outputs": outputs}
    write_json(job.record, record | changes)
    return job


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(load_config(write_config(tmp_path)))


def job_of(plan: Plan, kind: str, **keys: str) -> Job:
    return next(job for job in plan.all_jobs() if job.name.kind == kind and keys.items() <= dict(job.name.keys).items())


def test_only_what_differs_is_named(plan: Plan, tmp_path: Path) -> None:
    """Issue 10, number 46: a tuple of the settings is a list in the record, which is no difference."""
    other = Plan(load_config(write_config(tmp_path, {"datasets": {"tiny": {"partial": True}}}, name="other.yaml")))
    split = finished(job_of(plan, "split"))
    assert fault_of(split) is None
    assert isinstance(job_of(other, "split").settings["protocol"]["train"], tuple)
    assert str(fault_of(job_of(other, "split"))) == "was made under other settings (partial)"
