"""Whole training steps of every stage on device "meta", which has shapes but no values.

Reading a value on the host, which would make a GPU wait, fails there. The operations of a step are counted: each costs
a kernel launch on a GPU, so a step must not need more of them than its budget.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ikem.errors import InputError
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.training.loader import Clips
from ikem.training.loop import _require_finite
from operation_counts import META, Counting
from stage_support import stage_jobs, write_prepared

BUDGET = {
    "momentum_contrast": 1700,
    "skeletonclr": 1700,
    "crossclr": 3400,
    "ikem": 5300,
    "aimclr": 2810,
    "hiclr": 3760,
    "skelemixclr": 4590,
    "cmd": 3400,
    "pstl": 4000,
    "actclr": 5400,
    "mamp": 750,
    "relational_distillation": 3350,
    "supervised": 1190,
}
"""Operations of a step of each stage, with the modalities of the tiny config; to be lowered when a step shrinks."""

SENT = {"pstl": 1}
"""Copies from the host in a step, through pinned memory, so that nothing waits for them; other stages have none."""

CLIPS = 8

pytestmark = pytest.mark.filterwarnings("ignore:.*is a no-op:UserWarning")  # loading a state on device "meta"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("prepared"), CLIPS)


@pytest.fixture(scope="module")
def jobs(prepared, tmp_path_factory):
    return stage_jobs(prepared, CLIPS, tmp_path_factory.mktemp("states"))


@pytest.mark.parametrize("stage", BUDGET)
def test_a_step_reads_no_value_and_stays_in_its_budget(stage, jobs, prepared):
    settings, inputs = jobs[stage]
    clips = Clips(prepared, np.arange(CLIPS), META, resident=True)
    trainer = load(STAGES[stage].trainer)(settings, clips, META, inputs)
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    trainer.step(batch, 0, 0)  # the optimizer's state and the first keys are there from now on
    with Counting() as counting:
        losses = trainer.step(batch, 0, 1)
    assert all(loss.device == META and loss.shape == () for loss in losses.values())
    assert counting.total <= BUDGET[stage], f"{counting.total} operations; most often {counting.calls.most_common(8)}"
    assert counting.total > 0.9 * BUDGET[stage], f"{counting.total} operations: lower the budget of {stage}"
    assert counting.total_sent == SENT.get(stage, 0), f"what a step needs is sent before: {+counting.sent}"


def test_every_stage_that_trains_has_a_budget(jobs):
    assert BUDGET.keys() == jobs.keys()


class Reads(TorchDispatchMode):
    """Counts values that are read."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_a_look_at_all_tensors_reads_one_value():
    tensors = {f"{number}": torch.full((number,), 1e30) for number in range(20)}
    tensors |= {"count": torch.tensor(3), "clips": torch.full((4,), -1), "half": torch.ones(3, dtype=torch.bfloat16)}
    tensors |= {"wide": torch.tensor(1e300, dtype=torch.float64)}
    with Reads() as reads:
        _require_finite({"joint": 1.0}, tensors, 0)
    assert reads.count == 1


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_not_finite_is_named(value, dtype):
    tensors = {"a": torch.ones(3), "b": torch.ones(3, 400, dtype=dtype), "c": torch.ones(2), "d": torch.zeros(0)}
    tensors["b"][1, 200] = value
    with pytest.raises(InputError, match=r"^b has numbers that are not finite in epoch 6"):
        _require_finite({}, tensors, 5)
    with pytest.raises(InputError, match="the loss of joint is nan in epoch 6"):
        _require_finite({"joint": float("nan")}, {}, 5)
