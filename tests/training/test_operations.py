"""Whole training steps of every stage on device "meta", which has shapes but no values.

Reading a value on the host, which would make a GPU wait, fails there. The operations of a step are counted: each costs
a kernel launch on a GPU, so a step must not need more of them than its budget.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.training.loader import Clips
from stage_support import stage_jobs, write_prepared

BUDGET = {
    "momentum_contrast": 1700,
    "skeletonclr": 1700,
    "crossclr": 3400,
    "ikem": 5300,
    "aimclr": 2790,
    "hiclr": 3760,
    "skelemixclr": 4590,
    "relational_distillation": 3350,
    "supervised": 1190,
}
"""Operations of a step of each stage, with the modalities of the tiny config; to be lowered when a step shrinks."""

CLIPS = 8

pytestmark = pytest.mark.filterwarnings("ignore:.*is a no-op:UserWarning")  # loading a state on device "meta"


class Counting(TorchDispatchMode):
    """Counts operations; a view of a tensor is none."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not function.is_view:
            self.calls[str(function)] += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("prepared"), CLIPS)


@pytest.fixture(scope="module")
def jobs(prepared, tmp_path_factory):
    return stage_jobs(prepared, CLIPS, tmp_path_factory.mktemp("states"))


@pytest.mark.parametrize("stage", BUDGET)
def test_a_step_reads_no_value_and_stays_in_its_budget(stage, jobs, prepared):
    settings, inputs = jobs[stage]
    device = torch.device("meta")
    clips = Clips(prepared, np.arange(CLIPS), device, resident=True)
    trainer = load(STAGES[stage].trainer)(settings, clips, device, inputs)
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    trainer.step(batch, 0, 0)  # the optimizer's state and the first keys are there from now on
    with Counting() as counting:
        losses = trainer.step(batch, 0, 1)
    assert all(loss.device == device and loss.shape == () for loss in losses.values())
    count = sum(counting.calls.values())
    assert count <= BUDGET[stage], f"{count} operations; most often {counting.calls.most_common(8)}"
    assert count > 0.9 * BUDGET[stage], f"{count} operations: lower the budget of {stage}"


def test_every_stage_that_trains_has_a_budget(jobs):
    assert BUDGET.keys() == jobs.keys()
