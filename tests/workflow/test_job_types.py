"""Priorities of training stages, and which code computes a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config_support import tiny
from ikem.kernels import dispatch
from ikem.methods.registry import METHODS, STAGES
from ikem.settings.loading import build_config
from ikem.workflow import execute, job_types
from ikem.workflow.plan import Plan
from ikem.workflow.run_context import RunContext


def test_priorities_follow_the_longest_way_on() -> None:
    """Stage 1, the exchange, the student that learns from it."""
    ways = ("momentum_contrast", "ikem", "relational_distillation")
    assert [job_types.JOB_TYPES[name].priority for name in ways] == [30, 20, 10]


def test_a_student_may_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    student = METHODS["relational_distillation"]
    again = replace(STAGES["relational_distillation"], name="again")
    monkeypatch.setattr(job_types, "METHODS", {**METHODS, "relational_distillation": replace(student, teaches=True)})
    monkeypatch.setattr(job_types, "STAGES", {**STAGES, "again": again})
    assert job_types._priority(STAGES["relational_distillation"]) == 20
    assert job_types._priority(STAGES["momentum_contrast"]) == 40


@pytest.mark.parametrize(("backend", "expected"), [("auto", None), ("reference", "reference")])
def test_modalities_are_computed_as_asked(backend: str, expected: str | None) -> None:
    plan = Plan(build_config(tiny() | {"compute": {"backend": backend}}))
    (job, *_) = (job for job in plan.all_jobs() if job.name.kind == "modality")
    assert job.settings.get("backend") == expected, "where it is auto, digests are those from before it was a setting"


def note_backend(job: RunContext, inputs: object, options: object) -> list[Path]:
    """What a job runs here."""
    job.output.write_text(dispatch._backend)
    return []


def test_a_job_does_not_inherit_the_backend_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`python -m ikem run` has all jobs in one process."""
    noting = replace(job_types.JOB_TYPES["modality"], run=f"{__name__}:note_backend")
    monkeypatch.setitem(job_types.JOB_TYPES, "modality", noting)
    for backend, expected in (({"backend": "reference"}, "reference"), ({}, "auto")):
        output = tmp_path / expected
        execute.run_job({"kind": "modality", **backend}, {}, output, execute.Options())
        assert output.read_text() == expected
