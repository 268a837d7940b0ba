"""Relational distillation: several teacher modalities teach fewer students."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.errors import InputError
from ikem.modalities import generate_all
from ikem.settings import Encoder, Relation
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.distillation import RelationalDistillation
from ikem.training.loader import Batch, Clips, Views, training_clips
from ikem.training.loop import finish, train
from ikem.training.seeding import seed_for
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job


class DistillationTrainer:
    """The teacher sees the first view of a clip, the students the second."""

    def __init__(self, settings: Mapping[str, Any], clips: Clips, device: torch.device) -> None:
        """Set up from the settings of a `student` job; the teacher's parameters are loaded later."""
        self.settings, self.clips, self.device = settings, clips, device
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast, schedule = Relation(**settings["contrast"]), settings["schedule"]
        self.model = RelationalDistillation(
            settings["teacher_modalities"],
            settings["modalities"],
            self.skeleton,
            Encoder(**settings["teacher_encoder"]),
            Encoder(**settings["encoder"]),
            queue_size=contrast.queue_size,
            temperature=contrast.temperature,
            top_k=settings["top_k"],
            seed=settings["seed"],
            mining_queue=settings["mining_queue"],
            teacher_mode=settings["teacher_mode"],
            initialisation=settings["encoder"]["initialisation"],
        ).to(device)
        self.optimiser = self.model.optimiser(schedule["learning_rate"], schedule["momentum"], schedule["weight_decay"])
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the two views of every clip."""
        self.views = Views(self.settings["seed"], epoch, self.clips.count, self.clips.frames, views=2)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the loss of each student."""
        assert self.views is not None
        settings = self.settings
        teacher, student = (
            generate_all(settings[names], self.views(batch, view), batch.frames, self.skeleton)
            for view, names in enumerate(("teacher_modalities", "modalities"))
        )
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings["precision"] == "bfloat16"):
            losses = self.model.losses(teacher, student, seed_for(settings["seed"], "dropout", epoch, step))
        torch.autograd.backward(list(losses.values()))
        self.optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}


def distil(
    job: Job,
    position: Path,
    split: Path,
    teacher: Mapping[str, Path],
    device: str = "auto",
    checkpoint_minutes: float = 5.0,
) -> None:
    """Run a `student` job.

    Args:
        teacher: for each of its modalities the state that holds the query encoder.

    Raises:
        InputError: an input is damaged or does not fit, or the loss is not finite.
        Interrupted: a signal asked to leave; the checkpoint is written.
    """
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    with one_device(device, job) as chosen:
        trainer = DistillationTrainer(settings, training_clips(position, split, chosen), chosen)
        states: dict[str, Tensor] = {}
        for path in dict.fromkeys(teacher.values()):
            states |= load_tensors(path)[0]
        try:
            trainer.model.load_teacher(states)
        except RuntimeError as error:
            raise InputError(
                f"the teacher does not fit ({' '.join(str(error).split())})", location=str(path)
            ) from error
        history = train(
            job,
            trainer,
            trainer.clips,
            settings["schedule"],
            0,
            settings["schedule"]["epochs"],
            settings["drop_last"],
            checkpoint_minutes,
        )
        finish(job, trainer, history)
