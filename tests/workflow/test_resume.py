"""Killed, asked to leave, started twice: training goes on where it was and ends with the same bits."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from ikem.training.checkpoint import load_tensors
from ikem.workflow.plan import Job
from job_support import (
    LONGER,
    Workshop,
    command_of,
    kill,
    same,
    snakemake_environment,
    until,
    with_workflow,
    write_config,
)

KINDS = {
    "momentum_contrast": {"modality": "joint"},
    "ikem": {"method": "ikem-3"},
    "relational_distillation": {},
    "supervised": {},
    "finetune": {},
}
"""Every kind of training: stage 1, stage 2, distillation, supervised, fine-tuning."""

KILLS = 4
"""For each kind, at random moments, and as many again while a checkpoint is being written: 40 in all."""


def output_of(job: Job, folder: Path) -> Path:
    return folder / job.name.kind / job.output.name


def assert_same_result(job: Job, output: Path) -> None:
    """The result, and what lies beside it, are those of the unbroken run; nothing else is left."""
    names = {path.name for path in job.output.parent.glob(f"{job.output.stem}*") if "run.json" not in path.name}
    if job.output.name == "state.safetensors":
        names.add("metrics.csv")
    for name in names:
        assert same(job.output.with_name(name), output.with_name(name)), name
    left = {path.name for path in output.parent.iterdir()}
    assert left == {*names, f"{output.name}.run.json", f".{output.name}.lock"}


def unfinished(output: Path) -> list[str]:
    return [name for name in os.listdir(output.parent) if name.endswith(".tmp") and "checkpoint" in name]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(workshop: Workshop, tmp_path: Path, kind: str) -> None:
    job = workshop.job(kind, **KINDS[kind])
    output = output_of(job, tmp_path)
    began = time.monotonic()
    whole = workshop.start(job, output_of(job, tmp_path / "whole"))
    assert whole.wait() == 0, whole.printed
    duration = time.monotonic() - began
    moments = random.Random(f"kills of {kind}")
    killed = resumed = 0
    while killed < KILLS:
        process = workshop.start(job, output)
        time.sleep(duration * moments.uniform(0.1, 0.6))
        killed += kill(process)
        resumed += "resuming from" in process.printed
        if process.status == 0:  # it had ended already: once more from the beginning
            for path in output.parent.iterdir():
                path.unlink()
        else:
            assert not output.with_name(f"{output.name}.run.json").exists()
    last = workshop.start(job, output)
    assert last.wait() == 0, last.printed
    assert resumed + ("resuming from" in last.printed)
    assert_same_result(job, output)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_a_checkpoint_is_written(workshop: Workshop, tmp_path: Path, kind: str) -> None:
    job = workshop.job(kind, **KINDS[kind])
    output = output_of(job, tmp_path)
    output.parent.mkdir()
    killed = attempts = 0
    while attempts < KILLS or (not killed and attempts < 10 * KILLS):  # beside other work, most kills come too late
        wanted, written = attempts % KILLS, 0
        attempts += 1
        process = workshop.start(job, output)
        while process.alive:
            if unfinished(output):
                written += 1
                if written > wanted:
                    kill(process)
            until(lambda process=process: not unfinished(output) or not process.alive, 10)
        if process.wait() == 0:
            if killed:
                break
            for path in output.parent.iterdir():  # unharmed: once more from the beginning
                path.unlink()
        killed += bool(unfinished(output))  # else the file got its name in the same instant
    last = workshop.start(job, output)
    assert last.wait() == 0, last.printed
    assert killed >= 1
    assert_same_result(job, output)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_leave(workshop: Workshop, tmp_path: Path, kind: str, number: signal.Signals) -> None:
    job = workshop.job(kind, **KINDS[kind])
    output, log = output_of(job, tmp_path), tmp_path / "job.log"
    process = workshop.start(job, output, minutes=60, log=log)
    second = f"epoch {job.settings.get('first_epoch', 0) + 2}/"
    assert until(lambda: log.exists() and second in log.read_text(), pause=0.001), process.printed
    process.send(number)
    assert process.wait() == 75, process.printed
    assert f"left: {number.name}" in process.printed
    assert not output.exists()
    again = workshop.start(job, output, minutes=60, log=log)
    assert again.wait() == 0, again.printed
    assert "resuming from" in again.printed
    assert_same_result(job, output)


def test_left_at_once_where_nothing_is_to_be_saved(workshop: Workshop, tmp_path: Path) -> None:
    """A signal during the long import of a fresh process: it does not wait, and nothing is left half done."""
    job = workshop.job("momentum_contrast", modality="joint")
    output = tmp_path / "state.safetensors"
    inputs = {name: part.output for name, part in job.inputs.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "ikem", *command_of(job.settings, inputs, output)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "start: " in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert "left: SIGTERM" in process.stderr.read()
    assert process.wait() == 75
    assert not output.exists()


def test_the_real_command_line_killed(workshop: Workshop, tmp_path: Path) -> None:
    """The same, without the warm process: start, kill -9 in the second epoch, start again."""
    job = workshop.job("ikem", method="ikem-3")
    output = tmp_path / "state.safetensors"
    inputs = {name: part.output for name, part in job.inputs.items()}
    command = [sys.executable, "-m", "ikem", *command_of(job.settings, inputs, output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "checkpoint written (epoch 6, step 2)" in line:
            process.kill()
            break
    process.wait()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "resuming from epoch 6, step" in again.stderr
    assert_same_result(job, output)


def test_snakemake_killed(workshop: Workshop, tmp_path: Path) -> None:
    """The power goes: Snakemake and its jobs are killed at once; the same command goes on, and needs nothing else."""
    with_workflow(workshop, tmp_path)
    job = workshop.job("momentum_contrast", modality="joint")
    write_config(tmp_path, LONGER, {"compute": {"checkpoint_minutes": 0.0}})
    output = tmp_path / job.output.relative_to(workshop.folder)
    command = ["snakemake", str(output), "--cores", "2", "--configfile", "config.yaml"]
    environment = snakemake_environment()
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert until(lambda: list(output.parent.glob(".*checkpoint")), 120)
        for child in psutil.Process(run.pid).children(recursive=True):
            child.suspend()  # it shall not end before the second run is refused
        second = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
        assert second.returncode and "Directory cannot be locked" in second.stderr
        assert run.poll() is None
    finally:
        killed = [run.pid, *(child.pid for child in psutil.Process(run.pid).children(recursive=True))]
        for number in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        run.wait()
    assert not output.exists()
    assert list((tmp_path / ".snakemake" / "locks").iterdir())  # left behind
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "resuming from epoch" in again.stderr
    assert same(output, job.output)


def test_stage_1_run_on_is_one_run(workshop: Workshop, tmp_path: Path) -> None:
    """Stage 1 and the job that runs on from it (SkeletonCLR) are, bit for bit, one training of all epochs."""
    first, second = workshop.job("momentum_contrast", modality="joint"), workshop.job("skeletonclr", modality="joint")
    schedule = second.settings["schedule"]
    settings = first.settings | {"last_epoch": second.settings["last_epoch"], "schedule": schedule}
    inputs = {name: part.output for name, part in first.inputs.items()}
    process = workshop.start_with(settings, inputs, tmp_path / "state.safetensors", 60)
    assert process.wait() == 0, process.printed
    whole, _ = load_tensors(tmp_path / "state.safetensors")
    joined, _ = load_tensors(second.output)
    assert whole.keys() == joined.keys()
    assert all(torch.equal(whole[name], joined[name]) for name in whole)
    parts = [pd.read_csv(job.output.with_name("metrics.csv")) for job in (first, second)]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "metrics.csv"), pd.concat(parts, ignore_index=True), check_exact=True
    )


def test_other_settings_start_afresh(workshop: Workshop, tmp_path: Path) -> None:
    job = workshop.job("momentum_contrast", modality="joint")
    output, log = output_of(job, tmp_path), tmp_path / "job.log"
    inputs = {name: part.output for name, part in job.inputs.items()}
    other = job.settings | {"seed": 1}
    process = workshop.start_with(other, inputs, output, log=log)
    assert until(lambda: log.exists() and "checkpoint written" in log.read_text(), pause=0.001)
    assert kill(process)
    again = workshop.start(job, output, log=log)
    assert again.wait() == 0, again.printed
    assert "starting from scratch: the checkpoint was made with other settings, data or code" in log.read_text()
    assert "going on" not in log.read_text()
    assert_same_result(job, output)


def test_two_processes_never_train_the_same_job(workshop: Workshop, tmp_path: Path) -> None:
    job = workshop.job("ikem", method="ikem-3")
    output = tmp_path / "state.safetensors"
    first = workshop.start(job, output)
    assert until(lambda: bool(list(tmp_path.glob(".*checkpoint"))), pause=0.001), first.printed
    second = workshop.start(job, output)
    assert second.wait() == 2
    assert "another process is working on this very job. Wait until it has ended" in second.printed
    assert first.wait() == 0, first.printed
    assert_same_result(job, output)


def test_half_written_outputs_never_appear(workshop: Workshop, tmp_path: Path) -> None:
    """Whenever it is looked at, also after kills, an output is absent or whole."""
    job = workshop.job("momentum_contrast", modality="joint")
    output = tmp_path / "state.safetensors"
    looks = 0
    for attempt in range(6):
        process = workshop.start(job, output)
        while process.alive:
            if output.exists():
                load_tensors(output)
                looks += 1
                if attempt < 5:
                    kill(process)
                    break
        process.wait()
        assert not output.exists() or load_tensors(output)
        if attempt < 5:
            output.unlink(missing_ok=True)
    assert looks
    assert_same_result(job, output)
