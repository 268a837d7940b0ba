"""Relational distillation: several teacher modalities teach fewer students."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.registry import encoder_options
from ikem.errors import InputError
from ikem.methods.relational_distillation.model import RelationalDistillation
from ikem.modalities import generate_all
from ikem.seeding import StepSeeds, seed_for
from ikem.settings.training import Relation
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class DistillationTrainer:
    """The teacher sees the first view of a clip, the students the second."""

    replayable = True

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job and the states that hold the teacher's query encoders.

        Raises:
            InputError: a state is damaged, or holds another teacher.
        """
        self.settings, self.clips, self.device = settings, clips, device
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast = Relation(**settings["contrast"])
        self.model = RelationalDistillation(
            settings["teacher_modalities"],
            settings["modalities"],
            self.skeleton,
            encoder_options(settings["teacher_encoder"]),
            encoder_options(settings["encoder"]),
            queue_size=contrast.queue_size,
            temperature=contrast.temperature,
            top_k=settings["top_k"],
            seed=settings["seed"],
            mining_queue=settings["mining_queue"],
            teacher_mode=settings["teacher_mode"],
            relations=settings["relations"],
            initialization=settings["encoder"]["initialization"],
        ).to(device)
        self._load_teacher(inputs)
        self.optimizer = build_optimizer(self.model.student.parameters(), settings["schedule"])
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.views: Views | None = None

    def _load_teacher(self, inputs: Mapping[str, Path]) -> None:
        paths = [inputs[f"teacher_{name}"] for name in self.settings["teacher_modalities"]]
        states: dict[str, Tensor] = {}
        for path in dict.fromkeys(paths):
            states |= load_tensors(path)[0]
        try:
            self.model.load_teacher(states)
        except RuntimeError as error:
            words = " ".join(str(error).split())
            raise InputError(f"the teacher does not fit ({words})", location=str(paths[0])) from error

    def begin_epoch(self, epoch: int) -> None:
        """Draw the two views of every clip."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=2)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the loss of each student."""
        return self.compute(batch, epoch, self.dropout_seed(epoch, step))

    def dropout_seed(self, epoch: int, step: int) -> int:
        """What fixes all dropout masks of a step."""
        seed: int = seed_for(self.settings["seed"], "dropout", epoch, step)
        return seed

    def compute(self, batch: Batch, epoch: int, dropout_seed: int | StepSeeds) -> dict[str, Tensor]:
        """A step; see `ikem.training.graph.GraphTrainer`."""
        assert self.views is not None
        settings = self.settings
        teacher, student = (
            generate_all(settings[names], self.views(batch.position, batch.rows, view), batch.frames, self.skeleton)
            for view, names in enumerate(("teacher_modalities", "modalities"))
        )
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, settings["precision"]):
            losses = self.model.losses(teacher, student, dropout_seed)
        torch.autograd.backward(list(losses.values()))
        self.optimizer.step()
        self.model.flush()
        return {name: loss.detach() for name, loss in losses.items()}
