"""A training job that two processes share ends with the bits of one process, killed or not; both by real processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from ikem.training.checkpoint import load_tensors
from job_support import Process, Workshop, same, until


def start(workshop: Workshop, folder: Path, processes: int = 2, minutes: float = 60, **keys: str) -> Process:
    job = workshop.job(**({"kind": "ikem", "method": "ikem-3"} | keys))
    inputs = {name: part.output for name, part in job.inputs.items()}
    output, log = folder / "state.safetensors", folder / "job.log"
    process = workshop.start_with(
        job.settings, inputs, output, minutes, log, f"--processes-per-job={processes}", "--device=cpu"
    )
    process.output = output
    return process


def training(process: Process) -> list[int]:
    """The processes that train, in the order of their ranks."""
    children = psutil.Process(process.pid).children()
    return sorted(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))


def assert_same_result(workshop: Workshop, output: Path) -> None:
    """State and losses are those of one process: the goal is 1e-6, and with one numeric thread they are equal."""
    whole = workshop.job("ikem", method="ikem-3").output
    expected, found = load_tensors(whole)[0], load_tensors(output)[0]
    assert expected.keys() == found.keys()
    worst = max(float((expected[name].double() - found[name].double()).abs().max()) for name in expected)
    assert worst <= 1e-6
    assert same(whole, output) and same(whole.with_name("metrics.csv"), output.with_name("metrics.csv"))
    assert not list(output.parent.glob(".*checkpoint*"))


def test_two_processes_are_one(workshop: Workshop, tmp_path: Path) -> None:
    process = start(workshop, tmp_path)
    assert process.wait() == 0, process.printed
    assert_same_result(workshop, process.output)
    record = json.loads(process.output.with_name("state.safetensors.run.json").read_text())
    assert record["processes"] == 2
    assert "2 processes share the modalities joint, motion, bone" in process.printed
    assert process.printed.count("epoch 5/8: ") == 2  # how it began and ended, from one process


@pytest.mark.parametrize("killed, next_processes", [(0, 1), (1, 2)])
def test_one_is_killed_and_the_job_resumes(
    workshop: Workshop, tmp_path: Path, killed: int, next_processes: int
) -> None:
    """Also by another number of processes: a checkpoint is the same file whoever wrote it."""
    process = start(workshop, tmp_path, minutes=0)
    assert until(lambda: "checkpoint written (epoch 6, step 1)" in process.printed, pause=0.001), process.printed
    pids = training(process)
    os.kill(pids[killed], signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.printed
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "error: " not in process.printed
    again = start(workshop, tmp_path, next_processes)
    assert again.wait() == 0, again.printed
    assert "resuming from epoch 6, step" in again.printed
    assert_same_result(workshop, again.output)


def test_asked_to_leave(workshop: Workshop, tmp_path: Path) -> None:
    process = start(workshop, tmp_path)
    assert until(lambda: "epoch 5/8: " in process.printed, pause=0.001), process.printed
    process.send(signal.SIGUSR1)
    assert process.wait() == 75, process.printed
    assert "left: SIGUSR1; the same command resumes from here" in process.printed
    assert process.printed.count("left: ") == 1
    again = start(workshop, tmp_path)
    assert again.wait() == 0, again.printed
    assert "resuming from" in again.printed
    assert_same_result(workshop, again.output)


def test_the_job_itself_is_killed(workshop: Workshop, tmp_path: Path) -> None:
    """None of its processes outlives it."""
    process = start(workshop, tmp_path, minutes=0)
    assert until(lambda: "checkpoint written" in process.printed, pause=0.001), process.printed
    pids = training(process)
    assert len(pids) == 2
    process.send(signal.SIGKILL)
    process.wait()
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 5)


@pytest.mark.parametrize(
    "processes, keys, message",
    [
        (4, {}, "processes_per_job: 4 processes cannot share 3 modalities. Each needs one at least"),
        (
            2,
            {"kind": "supervised", "method": "supervised"},
            "processes_per_job: 2 processes cannot share a job of supervised. The jobs that can be divided are ",
        ),
    ],
)
def test_what_cannot_be_divided(
    workshop: Workshop, tmp_path: Path, processes: int, keys: dict[str, str], message: str
) -> None:
    process = start(workshop, tmp_path, processes, **keys)
    assert process.wait() == 2
    assert process.printed.count(message) == 1 and "Traceback" not in process.printed
