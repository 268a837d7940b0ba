"""The job of a stage of a method: its trainer, run through the training loop."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ikem.errors import InputError
from ikem.kernels.dispatch import use_backend
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.running_job import RunningJob
from ikem.training.clip_counts import count_warnings
from ikem.training.graph import fewer_launches
from ikem.training.loader import training_clips
from ikem.training.loop import finish, train
from ikem.workflow.device import own_devices
from ikem.workflow.run_context import RunContext

if TYPE_CHECKING:
    from ikem.workflow.execute import Inputs, Options

logger = logging.getLogger("ikem")


def run_stage(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Train the stage that the settings name; it ends with a state, and stores metrics.csv next to it.

    Raises:
        InputError: an input is damaged or does not fit, or the loss is not finite.
        Interrupted: a signal asked the process to stop; the checkpoint is written.
    """
    job.processes = options.processes_per_job
    _check_processes(job.settings, job.processes)
    with own_devices(options.device, job.processes, job) as devices:
        if job.processes == 1:
            _train(job, devices[0], inputs, options)
        else:
            from ikem.workflow.divided_job import run_divided

            logger.info("%d processes share the modalities %s", job.processes, ", ".join(job.settings["modalities"]))
            run_divided(job, partial(_train, inputs=dict(inputs), options=options), devices)
    return [job.output.with_name("metrics.csv")]


def _check_processes(settings: Mapping[str, Any], processes: int) -> None:
    kind, modalities = settings["kind"], settings["modalities"]
    if processes > 1 and not STAGES[kind].divisible:
        divisible = ", ".join(name for name, stage in STAGES.items() if stage.divisible)
        message = f"{processes} processes cannot share a job of {kind}"
        raise InputError(message, location="processes_per_job", hint=f"The jobs that can be divided are {divisible}")
    if processes > len(modalities):
        message = f"{processes} processes cannot share {len(modalities)} modalities"
        raise InputError(message, location="processes_per_job", hint="Each needs one at least")


def _train(job: RunningJob, device: torch.device, inputs: Inputs, options: Options) -> None:
    """Train, in this process, all modalities of the job or its part of them."""
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    clips = training_clips(inputs["prepared"], inputs["split"], device)
    for warning in count_warnings(settings, clips.count):
        logger.warning("%s", warning)
    trainer = load(STAGES[settings["kind"]].trainer)(settings, clips, device, inputs)
    epochs = settings["first_epoch"], settings["last_epoch"]
    steps = clips.count // settings["schedule"]["batch_size"]
    compiled, cuda_graph = settings.get("compile", False), options.cuda_graph == "auto"
    if compiled:
        use_backend("reference")  # kernels are no operations of PyTorch
    launched = fewer_launches(trainer, device, steps, compiled, cuda_graph)
    history = train(
        job, launched, clips, settings["schedule"], *epochs, settings["drop_last"], options.checkpoint_minutes
    )
    finish(job, trainer, history)
