"""What a job's log holds besides the job's own lines."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ikem.workflow.logs import last_run, logging_to


@pytest.fixture
def deterministic():
    """As jobs on a GPU ask for it; `put_` has no deterministic algorithm on a CPU either."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


class Put(torch.autograd.Function):
    """The operation, once forward and once backward."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone().put_(torch.tensor([0]), torch.tensor([1.0]))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.clone().put_(torch.tensor([0]), torch.tensor([0.0]))


def warned_of_put(log: Path) -> int:
    return log.read_text().count("UserWarning: put_ does not have a deterministic implementation")


@pytest.mark.usefixtures("deterministic")
def test_a_nondeterministic_operation_is_named_in_the_log(tmp_path: Path) -> None:
    """Once for the line of the forward pass and once for that of the backward pass, not once a step."""
    log = tmp_path / "job.log"
    x = torch.zeros(3, requires_grad=True)
    with logging_to(log, "job"):
        for _ in range(3):
            Put.apply(x).sum().backward()
    assert warned_of_put(log) == 2
    assert log.read_text().count(f"({__file__}:") == 2
    with logging_to(log, "job"):
        Put.apply(x)
    assert warned_of_put(log) == 3  # the next job of the process has a log of its own


def test_warnings_are_lines_of_the_log_while_the_job_runs(tmp_path: Path) -> None:
    log, shown = tmp_path / "job.log", warnings.showwarning
    with logging_to(log):
        warnings.warn("error: two\nlines", RuntimeWarning, stacklevel=1)
    assert warnings.showwarning is shown
    (line,) = log.read_text().splitlines()
    assert " RuntimeWarning: error: two lines (" in line
    assert last_run(log).end == "none"  # a warning is no error of the job
