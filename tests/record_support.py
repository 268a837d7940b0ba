"""Records of jobs that did not run: what a plan finds on the disk, for tests of what is done and what is not."""

from __future__ import annotations

import json

from ikem.data.fingerprint import write_record
from ikem.files import digest_file, write_json
from ikem.workflow.plan import Job, Plan


def finished(job: Job, *others: str, **changes: object) -> Job:
    """The job with an output, further files and a record, as if it had run on what its inputs' records say."""
    job.output.parent.mkdir(parents=True, exist_ok=True)
    for name in (job.output.name, *others):
        if not job.output.with_name(name).exists():
            job.output.with_name(name).write_text(f"{job.title} {name}")
    outputs = {name: digest_file(job.output.with_name(name)) for name in (job.output.name, *others)}
    inputs = {
        name: json.loads(part.record.read_text())["outputs"]
        for name, part in job.inputs.items()
        if part.record.exists()
    }
    settings = json.loads(json.dumps(job.settings))
    record = {"settings": settings, "digest": job.digest, "inputs": inputs, "outputs": outputs}
    write_json(job.record, record | changes)
    return job


def job_of(plan: Plan, kind: str, **keys: str) -> Job:
    return next(job for job in plan.all_jobs() if job.name.kind == kind and keys.items() <= dict(job.name.keys).items())


def run_all(plan: Plan) -> None:
    """Every job of the plan as if it had run, each from what the jobs before it wrote."""
    for job in plan.all_jobs():
        if job.name.kind == "acquire":
            job.output.parent.mkdir(parents=True, exist_ok=True)
            raw = job.output.with_suffix(".raw")
            raw.write_text("1 2 3")
            write_record(job.output, raw)
        finished(job, *(["samples.csv"] if job.name.kind == "prepare" else []))
