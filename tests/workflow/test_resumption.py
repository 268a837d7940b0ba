"""What `status` says of jobs that were interrupted is what their next run does (issue 10, number 27)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ikem.files import digest_of
from ikem.settings.loading import load_config
from ikem.training.checkpoint import save_tensors
from ikem.workflow.plan import Job, Plan
from ikem.workflow.run_context import RunContext, checkpoint_digest, running
from ikem.workflow.staleness import outputs_of
from ikem.workflow.status import State, failures_of, state_of
from job_support import write_config
from record_support import finished, job_of, run_all

START = "10:00:00 start: a job\n10:00:01 epoch 1/4: 3 steps\n"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = Plan(load_config(write_config(tmp_path)))
    run_all(plan)
    return plan


def unfinished(plan: Plan, kind: str, end: str, **keys: str) -> Job:
    """A job that has a log, and no result."""
    job = job_of(plan, kind, **keys)
    job.output.unlink()
    job.record.unlink()
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.write_text(START + end)
    return job


def digest(job: Job) -> str:
    return checkpoint_digest(job.settings, {name: outputs_of(part) or {} for name, part in job.inputs.items()})


def write_checkpoint(job: Job, about: object, part: str = "") -> Path:
    path = job.output.with_name(f".{job.output.name}.{part}.checkpoint")
    save_tensors(path, {"weight": torch.zeros(2)}, about)
    return path


LEFT = "10:00:02 left: SIGTERM; the same command resumes from here\n"


@pytest.mark.parametrize(
    "end, word, remark",
    [
        (LEFT, "interrupted", "left after epoch 1/4 began, as asked; "),
        ("", "interrupted", "killed by SIGKILL after epoch 1/4 began (or the machine went down): "),
        ("10:00:02 error: the disk is full\n", "failed", "the disk is full; "),
        ("Fatal Python error: Segmentation fault\n", "failed", "ended by SIGSEGV after epoch 1/4 began: "),
    ],
)
def test_how_it_ended_and_where_it_resumes(plan: Plan, end: str, word: str, remark: str) -> None:
    job = unfinished(plan, "ikem", end)
    write_checkpoint(job, {"digest": digest(job), "progress": {"epoch": 2, "step": 1}})
    state = state_of(job)
    assert state.word == word
    assert state.remark.startswith(remark)
    assert state.remark.endswith("; resumes from epoch 3 of 4")
    listed = failures_of(plan, reported=True)
    assert [line.split(":")[0].split(" (")[0] for line in listed] == ([] if end == LEFT else [job.title])
    assert not listed or ("the disk is full" not in listed[0])
    assert end == LEFT or state.remark.split(";")[0] in failures_of(plan, reported=False)[0]


def test_what_never_ran_is_missing(plan: Plan) -> None:
    job = unfinished(plan, "ikem", "")
    job.log.unlink()
    assert state_of(job) == State("missing")


@pytest.mark.parametrize("harm", ["none", "settings", "inputs", "content", "no input"])
def test_it_starts_again(plan: Plan, harm: str) -> None:
    job = unfinished(plan, "ikem", LEFT)
    if harm != "none":
        about = "0" * 64 if harm == "settings" else digest(job)
        path = write_checkpoint(job, {"digest": about, "progress": {"epoch": 2, "step": 1}})
        if harm == "content":
            path.write_bytes(path.read_bytes()[:-1] + b"\1")
    if harm == "inputs":
        stage1 = job.inputs["joint"]
        stage1.output.write_text("computed again, and not the same")
        finished(stage1)
    if harm == "no input":
        job.inputs["joint"].record.unlink()
        job.inputs["joint"].output.unlink()
    assert state_of(job) == State("interrupted", "left after epoch 1/4 began, as asked; starts again")


def test_a_stale_result_that_is_being_replaced(plan: Plan) -> None:
    """`ikem run` keeps the old result until the new one is written."""
    job = job_of(plan, "ikem")
    job.output.write_text("edited")
    fault = "has changed since it was written"
    assert state_of(job) == State("stale", fault)
    write_checkpoint(job, {"digest": digest(job), "progress": {"epoch": 2, "step": 1}})
    assert state_of(job) == State("stale", f"{fault}; resumes from epoch 3 of 4")


def test_what_it_is_built_on_has_to_run_first(plan: Plan) -> None:
    job = unfinished(plan, "ikem", LEFT)
    write_checkpoint(job, {"digest": digest(job), "progress": {"epoch": 2, "step": 1}})
    job_of(plan, "split").output.write_text("edited")
    assert state_of(job).remark.endswith("; is built on split tiny xsub, which has changed since it was written")


def test_time_before_an_interruption_counts(plan: Plan) -> None:
    job = unfinished(plan, "ikem", LEFT)
    inputs = {name: part.output for name, part in job.inputs.items()}
    write_checkpoint(job, {"digest": "of other settings", "seconds": 9000.0}, "old")
    assert RunContext(job.settings, job.output, inputs).seconds < 100
    write_checkpoint(job, {"digest": digest(job), "progress": {"epoch": 2, "step": 1}, "seconds": 3000.0})
    assert 3000 <= RunContext(job.settings, job.output, inputs).seconds < 3100
    with running(job.settings, job.output, inputs):
        job.output.write_text("a state")
    assert 3000 <= json.loads(job.record.read_text())["seconds"] < 3100


def test_fine_tuning_resumes_at_the_modality_it_was_at(plan: Plan) -> None:
    job = unfinished(plan, "finetune", LEFT, evaluation="semi-10")
    write_checkpoint(job, digest_of([digest(job), "0.joint"]), "0.joint.logits")
    assert state_of(job).remark.endswith("; resumes after 0 joint")
    write_checkpoint(job, {"digest": digest(job), "progress": {"epoch": 1, "step": 0}}, "0.bone")
    assert state_of(job).remark.endswith("; resumes from epoch 2 of 2 (0 bone)")
