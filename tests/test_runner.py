"""`python -m ikem run`: what it says, and signals that arrive between jobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ikem import runner
from ikem.errors import Interrupted
from ikem.settings.loading import load_config
from ikem.workflow.plan import Plan
from ikem.workflow.signals import Leaving
from job_support import write_config
from record_support import finished, job_of, run_all


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Everything is done but three jobs, each built on the one before."""
    plan = Plan(load_config(write_config(tmp_path)))
    run_all(plan)
    for kind in ("ikem", "embed", "linear"):
        job_of(plan, kind, method="ikem-3").output.unlink()
    return plan


def run(plan: Plan, monkeypatch: pytest.MonkeyPatch, during: object = None) -> list[str]:
    """Run the plan with jobs that only write what they end with; returns their kinds."""
    ran = []

    def job(settings: dict, inputs: dict, output: Path, options: object, log: Path) -> None:
        found = next(job for job in plan.all_jobs() if job.output == output)
        with Leaving.heeding() as leaving, leaving.saving():
            finished(found)
            ran.append(found.name.kind)
            if during is not None:
                os.kill(os.getpid(), during)

    monkeypatch.setattr(runner, "run_job", job)
    runner.run_all(plan.config, tables=False)
    return ran


def test_jobs_are_counted(plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 10, numbers 33 and 34; results that came out as before are kept."""
    assert run(plan, monkeypatch) == ["ikem", "embed", "linear"]
    assert capsys.readouterr().err.splitlines() == [
        "job 1 of 3: ikem tiny xsub 0 ikem-3",
        "job 2 of 3: embed tiny xsub 0 ikem-3",
        "job 3 of 3: linear tiny xsub 0 ikem-3 linear",
    ]
    split = job_of(plan, "split")
    split.output.write_text("edited")
    ran = run(plan, monkeypatch)
    shown = capsys.readouterr().err.splitlines()
    assert (
        "finished jobs will be redone" in shown[0] and shown[1] == "  split tiny xsub: has changed since it was written"
    )
    lines = [line for line in shown if line.startswith("job ")]
    assert ran[0] == "split" and lines[0] == f"job 1 of {len(lines)}: split tiny xsub"


def test_what_comes_out_as_before_is_the_end_of_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was built on it is looked at again, and kept."""
    run(plan, monkeypatch)
    job_of(plan, "split").record.unlink()
    capsys.readouterr()
    assert run(plan, monkeypatch) == ["split"]
    shown = capsys.readouterr().err.splitlines()
    assert shown[1] == "  split tiny xsub: has no run.json next to it"
    assert all(line.endswith(" is done already") for line in shown[4:]) and len(shown) > 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_at_the_end_of_a_job_is_not_lost(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Issue 10, number 25: the job is about to end and only notes it; the next one does not begin."""
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"{number.name}; the same command resumes from here"):
        run(plan, monkeypatch, number)
    assert job_of(plan, "ikem").output.exists()
    assert not job_of(plan, "embed", method="ikem-3").output.exists()
    assert signal.getsignal(number) == before
    assert run(plan, monkeypatch) == ["embed", "linear"]


def test_a_signal_between_jobs_ends_the_run(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "write_plan", lambda plan: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        run(plan, monkeypatch)
    assert not job_of(plan, "ikem").output.exists()
