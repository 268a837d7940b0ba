"""The job of a stage of a method: its trainer, run through the training loop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ikem.kernels.dispatch import use_backend
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.training.clip_counts import count_warnings
from ikem.training.graph import fewer_launches
from ikem.training.loader import training_clips
from ikem.training.loop import finish, train
from ikem.workflow.device import one_device
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
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    with one_device(options.device, job) as device:
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
    return [job.output.with_name("metrics.csv")]
