"""The training stages of the tiny benchmark on random clips, for tests of single steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import EVERY_METHOD
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.settings.loading import load_config
from ikem.training.checkpoint import save_tensors
from ikem.training.loader import Clips
from ikem.training.loop import training_tensors
from ikem.workflow.plan import Plan

CPU = torch.device("cpu")


def write_prepared(folder: Path, clips: int) -> Path:
    """A prepared dataset of random clips of three classes; the path of its positions."""
    generator = np.random.default_rng(0)
    np.save(folder / "position.npy", generator.normal(size=(clips, 3, 16, 25, 2)).astype(np.float32))
    table = pd.DataFrame({"name": [f"clip{number}" for number in range(clips)], "bodies": 2, "frames": 30})
    table.assign(label=np.arange(clips) % 3).to_csv(folder / "samples.csv", index=False)
    return folder / "position.npy"


def stage_jobs(prepared: Path, clips: int, folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, Path]]]:
    """For each stage that trains: settings of a job, and the states that it needs, with initial parameters."""
    loaded = Clips(prepared, np.arange(clips), CPU, resident=True)
    states: dict[Any, Path] = {}
    found = {}
    for job in Plan(load_config(*EVERY_METHOD)).all_jobs():
        stage = STAGES.get(job.name.kind)
        if stage is None:
            continue
        inputs = {name: states[needed.name] for name, needed in job.inputs.items() if needed.name in states}
        trainer = load(stage.trainer)(job.settings, loaded, CPU, inputs)
        states[job.name] = folder / f"{len(states)}.safetensors"
        save_tensors(states[job.name], training_tensors(trainer), {})
        if job.settings["last_epoch"] > job.settings["first_epoch"]:
            found[stage.name] = job.settings, inputs
    return found
