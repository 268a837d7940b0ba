"""A job that a signal ends says so: in its log, in `status`, and where Snakemake ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ikem.workflow.plan import Job
from ikem.workflow.status import State, state_of
from job_support import LONGER, Workshop, processes_of, snakemake_environment, until, with_workflow, write_config

CRASHES = [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE]


def long_job(workshop: Workshop) -> Job:
    """A training job that a signal surely meets before its end."""
    job = workshop.job("momentum_contrast", modality="joint")
    return dataclasses.replace(job, settings={**job.settings, "last_epoch": 1000})


def ended(workshop: Workshop, folder: Path, number: signal.Signals, **environment: str) -> State:
    """How a training job stands that this signal ended after its first epoch."""
    job = long_job(workshop)
    output, log = folder / "state.safetensors", folder / "job.log"
    process = workshop.start(job, output, log=log, **environment)
    assert until(lambda: log.exists() and "epoch 2/" in log.read_text(), pause=0.001), process.printed
    process.send(number)
    assert process.wait() == -number, process.printed
    return state_of(dataclasses.replace(job, output=output, log=log))


@pytest.mark.parametrize("number", CRASHES, ids=lambda number: number.name)
def test_a_crash_is_reported_with_its_signal(workshop: Workshop, tmp_path: Path, number: signal.Signals) -> None:
    state = ended(workshop, tmp_path, number)
    assert state.word == "failed"
    assert state.remark.startswith(f"ended by {number.name} after epoch")
    assert "the log has the stack" in state.remark
    assert "; resumes from epoch " in state.remark
    assert "ikem/training/loop.py" in (tmp_path / "job.log").read_text().rsplit("Fatal Python error", 1)[1]  # the stack


def test_a_crash_is_in_the_log_whatever_the_environment_says(workshop: Workshop, tmp_path: Path) -> None:
    assert ended(workshop, tmp_path, signal.SIGSEGV, PYTHONFAULTHANDLER="1").remark.startswith("ended by SIGSEGV")


def test_a_kill_is_reported(workshop: Workshop, tmp_path: Path) -> None:
    remark = ended(workshop, tmp_path, signal.SIGKILL).remark
    assert remark.startswith("killed by SIGKILL after epoch")
    assert "memory" in remark


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2, signal.SIGXCPU, signal.SIGQUIT])
def test_what_closing_terminals_and_schedulers_send_asks_to_leave(
    workshop: Workshop, tmp_path: Path, number: signal.Signals
) -> None:
    job = long_job(workshop)
    output, log = tmp_path / "state.safetensors", tmp_path / "job.log"
    process = workshop.start(job, output, minutes=60, log=log)
    assert until(lambda: log.exists() and "epoch 2/" in log.read_text(), pause=0.001), process.printed
    process.send(number)
    assert process.wait() == 75, process.printed
    assert f"left: {number.name}" in log.read_text()
    assert list(tmp_path.glob(".*checkpoint"))


def test_snakemake_ends_with_the_signal_of_a_job(workshop: Workshop, tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("processes are found in /proc")
    config = write_config(tmp_path, LONGER, {"recipes": {"tiny": {"schedule": {"epochs": 400}, "stage1_epochs": 300}}})
    project = with_workflow(workshop, tmp_path)
    output = project / "results" / workshop.job("momentum_contrast").output.relative_to(workshop.results)
    command = ["snakemake", str(output), "--cores", "2", "--quiet", "all", "--configfile", str(config)]
    with subprocess.Popen(
        command, cwd=project, env=snakemake_environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            log = project / "results" / "logs" / output.relative_to(project / "results").with_suffix(".safetensors.log")
            begun = until(
                lambda: run.poll() is not None or (log.exists() and "epoch 2/" in log.read_text()), 200, pause=0.002
            )
            assert begun and run.poll() is None, run.communicate(timeout=10)[1]
            os.kill(processes_of(output)[0], signal.SIGSEGV)
            printed = run.communicate(timeout=100)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 1
    (line,) = [line for line in printed.splitlines() if "ended by SIGSEGV" in line]
    assert line.startswith("failed: momentum_contrast tiny xsub 0 tiny joint: ended by SIGSEGV after epoch")
    assert str(log.relative_to(project)) in line
