"""What training steps and encoders ask of a machine, counted on device "meta" with the settings of their jobs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ikem.encoders.registry import build_encoder, encoder_options
from ikem.estimate.clips import BODIES
from ikem.estimate.counting import LAUNCH, Counts
from ikem.files import canonical_json
from ikem.kernels.dispatch import backend
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import save_tensors
from ikem.training.classifier import ClassifierTrainer
from ikem.training.loader import Clips
from ikem.training.loop import Trainer, training_tensors
from ikem.workflow.plan import Job, Plan

LARGEST = 128
"""Clips of a step that is counted; of larger batches operations and memory grow in proportion."""
EMBEDDED = 128
"""Clips that are embedded at a time."""
CPU, META = torch.device("cpu"), torch.device("meta")
_LEFT_OUT = {"seed", "first_epoch", "last_epoch", "upstream", "skeleton_digest", "row", "modalities"}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        flop: floating point operations of products and convolutions.
        gpu_seconds: modeled for one H200, see `ikem.estimate.counting`.
        peak: bytes that it needs beyond parameters.
        state: bytes of parameters, buffers, queues and the optimizer's state.
        clips: of the batch.
    """

    flop: float
    gpu_seconds: float
    peak: int
    state: int
    clips: int


class Steps:
    """Counted steps, each distinct one once.

    Args:
        plan: whose jobs are counted.
        folder: for random clips, and for states with initial parameters.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._steps: dict[str, Step] = {}
        self._states: dict[str, Path] = {}

    def of_stage(self, job: Job) -> Step:
        """A step of a training job."""
        key = canonical_json([self._key(job), len(job.settings["modalities"])])
        if key not in self._steps:
            inputs = {name: self._state(part) for name, part in job.inputs.items() if part.name.kind in STAGES}
            trainer = load(STAGES[job.name.kind].trainer)
            batch = min(int(job.settings["schedule"]["batch_size"]), LARGEST)
            clips = Clips(self.positions(job), np.arange(batch), META, resident=True)
            with warnings.catch_warnings():  # a state that is loaded on this device has no values
                warnings.filterwarnings("ignore", ".*is a no-op", UserWarning)
                built = trainer(job.settings, clips, META, inputs)
            self._steps[key] = _counted(built, clips, job.settings)
        return self._steps[key]

    def of_finetuning(self, job: Job, classes: int = 60) -> Step:
        """A step of a job that trains an encoder further, of one modality."""
        options = job.settings["options"]
        settings = job.settings | {"schedule": options["schedule"], "augmentations": options["augmentations"]}
        key = canonical_json([self._key(job), "finetune"])
        if key not in self._steps:
            batch = min(int(options["schedule"]["batch_size"]), LARGEST)
            clips = Clips(self.positions(job), np.arange(batch), META, resident=True)
            built = ClassifierTrainer(settings, settings["modalities"][0], classes, clips, META)
            self._steps[key] = _counted(built, clips, settings | {"first_epoch": 0, "last_epoch": 1})
        return self._steps[key]

    def of_embedding(self, job: Job) -> tuple[Step, int]:
        """Embedding a batch of clips by one encoder, and the width of an embedding."""
        frames, bodies = self._shape(job)
        key = canonical_json(["embed", job.settings["encoder"], job.settings["skeleton"], frames, bodies])
        options = encoder_options(job.settings["encoder"])
        if key not in self._steps:
            skeleton = load_skeleton(job.settings["skeleton"])
            network = build_encoder(options, skeleton).to(META).eval()
            shape = (EMBEDDED, bodies, 3, frames, skeleton.joint_count)
            with backend("reference"), torch.no_grad(), Counts() as counts:  # inference mode hides what is counted
                network(torch.empty(shape, device=META))
            state = sum(value.nbytes for value in network.state_dict().values())
            self._steps[key] = _step(counts, job.settings["precision"], state, EMBEDDED)
        return self._steps[key], int(getattr(options, "hidden_dim", 256))

    def positions(self, job: Job) -> Path:
        """A prepared array of random clips in the form of the job's dataset."""
        frames, bodies = self._shape(job)
        skeleton = load_skeleton(job.settings["skeleton"])
        folder = self._folder / f"{skeleton.joint_count}-{frames}-{bodies}"
        if not folder.exists():
            folder.mkdir(parents=True)
            shape = (LARGEST, 3, frames, skeleton.joint_count, bodies)
            np.save(folder / "position.npy", np.random.default_rng(0).standard_normal(shape, np.float32))
            table = pd.DataFrame({"name": [f"clip{number}" for number in range(LARGEST)], "bodies": bodies})
            table = table.assign(frames=frames, label=np.arange(LARGEST) % 10)
            table.to_csv(folder / "samples.csv", index=False)
        return folder / "position.npy"

    def _shape(self, job: Job) -> tuple[int, int]:
        """Frames and bodies of a prepared clip of the job's dataset."""
        dataset = self._plan.config.datasets[dict(job.name.keys)["dataset"]]
        return dataset.prepare.frames, BODIES[dataset.format]

    def _key(self, job: Job) -> str:
        """What a step depends on, besides its modalities: neither seed nor clips."""
        settings = {name: value for name, value in job.settings.items() if name not in _LEFT_OUT}
        return canonical_json([settings, *self._shape(job)])

    def _state(self, job: Job) -> Path:
        """A state of a training job with initial parameters."""
        key = canonical_json([self._key(job), job.settings["modalities"]])
        if key not in self._states:
            inputs = {name: self._state(part) for name, part in job.inputs.items() if part.name.kind in STAGES}
            clips = Clips(self.positions(job), np.arange(2), CPU, resident=True)
            trainer = load(STAGES[job.name.kind].trainer)(job.settings, clips, CPU, inputs)
            path = self._folder / f"{len(self._states)}.safetensors"
            save_tensors(path, training_tensors(trainer), {})
            self._states[key] = path
        return self._states[key]


def _counted(trainer: Trainer, clips: Clips, settings: Mapping[str, Any]) -> Step:
    """The second step of a trainer on device "meta"; the first one creates the optimizer's state."""
    (batch,) = clips.batches([np.arange(clips.count)])
    epoch = int(settings["first_epoch"])
    with backend("reference"):
        trainer.begin_epoch(epoch)
        trainer.step(batch, epoch, 0)
        with Counts() as counts:
            trainer.step(batch, epoch, 1)
    state = sum(value.nbytes for value in training_tensors(trainer).values())
    return _step(counts, str(settings["precision"]), state, clips.count)


def _step(counts: Counts, precision: str, state: int, clips: int) -> Step:
    """bfloat16 is not counted: device "meta" has no autocast; its times are those of TF32."""
    kernels = counts.seconds["float32" if precision == "float32" else "tf32"]
    return Step(counts.done, max(kernels, counts.operations * LAUNCH), counts.peak, state, clips)


def step_seconds(settings: str, position: Path, seconds: float) -> tuple[float, int]:
    """Seconds of a step of a stage on this CPU, and the clips of its batch; in a process of its own.

    Args:
        settings: of the job, as JSON; a stage that starts from no state.
        position: random clips, `Steps.positions`.
        seconds: to measure for, after a first step.
    """
    import time

    from ikem.process import keep_memory, use_threads

    job = json.loads(settings)
    use_threads(job["threads"])
    keep_memory()
    torch.use_deterministic_algorithms(True)
    batch = min(int(job["schedule"]["batch_size"]), 16)
    clips = Clips(position, np.arange(batch), CPU, resident=True)
    trainer = load(STAGES[job["kind"]].trainer)(job, clips, CPU, {})
    epoch = int(job["first_epoch"])
    trainer.begin_epoch(epoch)
    (first,) = clips.batches([np.arange(batch)])
    trainer.step(first, epoch, 0)
    began, count = time.perf_counter(), 0
    while count < 1 or time.perf_counter() - began < seconds:
        count += 1
        trainer.step(first, epoch, count)
    return (time.perf_counter() - began) / count, batch
