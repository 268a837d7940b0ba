"""Two real processes on a CPU compute what one computes, and end together."""

from __future__ import annotations

import time
from functools import partial

import pytest
import torch

import divided_support
from ikem.errors import InputError
from ikem.methods.registry import STAGES
from ikem.training.checkpoint import load_tensors
from ikem.workflow.divided_job import run_divided
from stage_support import CPU, stage_jobs, write_prepared

CLIPS = 8


def divide(work, folder, processes=2):
    run_divided(divided_support.job_in(folder), work, [CPU] * processes)


def test_steps_of_every_stage_that_can_be_divided(tmp_path):
    """Losses, parameters, momentum of the optimizer, keys and queues after two steps have the bits of one process."""
    prepared = write_prepared(tmp_path, CLIPS)
    jobs = stage_jobs(prepared, CLIPS, tmp_path)
    jobs = {name: job for name, job in jobs.items() if STAGES[name].divisible}
    assert set(jobs) == {"ikem", "crossclr", "cmd"}
    work = partial(divided_support.steps, jobs=jobs, prepared=prepared, count=CLIPS)
    work(divided_support.job_in(tmp_path), CPU)
    expected = {name: load_tensors(tmp_path / f"{name}.safetensors")[0] for name in jobs}
    for name in jobs:
        (tmp_path / f"{name}.safetensors").unlink()
    divide(work, tmp_path)
    for name, tensors in expected.items():
        found = load_tensors(tmp_path / f"{name}.safetensors")[0]
        assert found.keys() == tensors.keys()
        assert [key for key in found if not torch.equal(found[key], tensors[key])] == []


def test_what_processes_tell_each_other(tmp_path):
    """Of five items three processes have one, two and two."""
    divide(divided_support.gathered, tmp_path, processes=3)


@pytest.mark.parametrize(
    "work, error, message",
    [
        (divided_support.fails_in_the_second, InputError, "^there: a fault. Look$"),
        (
            divided_support.raises_in_the_second,
            RuntimeError,
            "(?s)^process 1 of 2 failed:.*ZeroDivisionError: a mistake",
        ),
    ],
)
def test_an_error_in_one_ends_all(tmp_path, work, error, message):
    """It is reported as it was raised, and not what the other process makes of it."""
    began = time.monotonic()
    with pytest.raises(error, match=message):
        divide(work, tmp_path)
    assert time.monotonic() - began < 50  # the other one would wait longer
