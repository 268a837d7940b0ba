"""Whole training steps of every stage on device "meta", which has shapes but no values.

Reading a value on the host, which would make a GPU wait, fails there. The operations of a step are counted: each costs
a kernel launch on a GPU, so a step must not need more of them than its budget.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import TINY
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.settings.loading import load_config
from ikem.training.checkpoint import save_tensors
from ikem.training.loader import Clips
from ikem.training.loop import training_tensors
from ikem.workflow.plan import Plan

BUDGET = {
    "momentum_contrast": 1700,
    "skeletonclr": 1700,
    "crossclr": 3400,
    "ikem": 5300,
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
    """A prepared dataset of random clips."""
    folder = tmp_path_factory.mktemp("prepared")
    generator = np.random.default_rng(0)
    np.save(folder / "position.npy", generator.normal(size=(CLIPS, 3, 16, 25, 2)).astype(np.float32))
    table = pd.DataFrame({"name": [f"clip{number}" for number in range(CLIPS)], "bodies": 2, "frames": 30})
    table.assign(label=np.arange(CLIPS) % 3).to_csv(folder / "samples.csv", index=False)
    return folder / "position.npy"


@pytest.fixture(scope="module")
def jobs(prepared, tmp_path_factory):
    """For each stage that trains: settings of a job, and the states of the jobs that it needs, not yet trained."""
    folder = tmp_path_factory.mktemp("states")
    clips = Clips(prepared, np.arange(CLIPS), torch.device("cpu"), resident=True)
    states, found = {}, {}
    for job in Plan(load_config(TINY)).all_jobs():
        stage = STAGES.get(job.name.kind)
        if stage is None:
            continue
        inputs = {name: states[needed.name] for name, needed in job.inputs.items() if needed.name in states}
        settings = job.settings
        trainer = load(stage.trainer)(settings, clips, torch.device("cpu"), inputs)
        states[job.name] = folder / f"{len(states)}.safetensors"
        save_tensors(states[job.name], training_tensors(trainer), {})
        if settings["last_epoch"] > settings["first_epoch"]:
            found[stage.name] = settings, inputs
    return found


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
