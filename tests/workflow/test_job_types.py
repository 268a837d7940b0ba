"""Priorities of training stages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ikem.methods.registry import METHODS, STAGES
from ikem.workflow import job_types


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
