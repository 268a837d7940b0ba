"""What every registered method keeps to: declaration, seeds, resumption, documentation, citation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import EVERY_METHOD, ROOT
from ikem.methods.registry import METHODS, STAGES
from ikem.registry import load
from ikem.settings.loading import load_config
from ikem.training.loader import Clips
from ikem.training.loop import load_training_tensors, training_tensors
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Plan
from stage_support import CPU, stage_jobs, write_prepared

CLIPS = 8
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "momentum": 0.9, "nesterov": False},
    "adamw": {"kind": "adamw", "betas": [0.9, 0.999], "eps": 1e-8},
}
CONFIG = load_config(*EVERY_METHOD)
TRAINED = [name for name in STAGES if name != "random_init"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return Clips(write_prepared(tmp_path_factory.mktemp("prepared"), CLIPS), np.arange(CLIPS), CPU, resident=True)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return stage_jobs(write_prepared(folder, CLIPS), CLIPS, folder)


def steps(trainer, clips, numbers):
    """Losses of some steps, all of the same batch."""
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    return [{name: loss.item() for name, loss in trainer.step(batch, 0, number).items()} for number in numbers]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stage", TRAINED)
def test_resumed_equals_unbroken(stage, optimizer, jobs, clips):
    """Bit for bit, with every optimizer: a checkpoint has the whole of its state."""
    settings, inputs = jobs[stage]
    settings = settings | {"schedule": settings["schedule"] | {"optimizer": OPTIMIZERS[optimizer]}}
    unbroken, resumed = (load(STAGES[stage].trainer)(settings, clips, CPU, inputs) for _ in range(2))
    steps(unbroken, clips, (0, 1))
    load_training_tensors(resumed, {name: value.clone() for name, value in training_tensors(unbroken).items()})
    assert steps(unbroken, clips, (2, 3)) == steps(resumed, clips, (2, 3))
    found = training_tensors(resumed)
    for name, value in training_tensors(unbroken).items():
        assert torch.equal(value, found[name]), name


@pytest.mark.parametrize("stage", TRAINED)
def test_seed_fixes_all(stage, jobs, clips):
    settings, inputs = jobs[stage]
    taken = [
        steps(load(STAGES[stage].trainer)(settings | {"seed": seed}, clips, CPU, inputs), clips, (0, 1))
        for seed in (3, 3, 4)
    ]
    assert taken[0] == taken[1]
    assert taken[0] != taken[2]


@pytest.mark.parametrize("kind", METHODS)
def test_declaration(kind):
    method = METHODS[kind]
    assert method.summary.endswith(".")
    assert method.options.model_fields["kind"].annotation.__args__ == (kind,)
    assert method.source or not method.ranked, "a method that is ranked names its source"
    assert all(
        stage.summary.endswith(".") and JOB_TYPES[stage.name].summary == stage.summary for stage in method.stages
    )


@pytest.mark.parametrize("kind", METHODS)
def test_tiny_config_takes_it_to_a_table(kind):
    entries = {name for name, options in CONFIG.methods.items() if options.kind == kind}
    assert entries & {keys["method"] for _, keys, _ in Plan(CONFIG).cells()}


@pytest.mark.parametrize("kind", METHODS)
def test_documentation_names_it(kind):
    assert f"`{kind}`" in (ROOT / "docs" / "method.md").read_text()
