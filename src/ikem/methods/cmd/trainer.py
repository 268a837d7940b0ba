"""CMD: momentum contrast of several modalities that learn from one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.registry import encoder_options
from ikem.methods.cmd.model import MutualDistillation
from ikem.modalities import generate_all
from ikem.seeding import seed_for
from ikem.settings.training import Contrast
from ikem.skeleton import load_skeleton
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class CMDTrainer:
    """The queries see the first view of a clip, the keys the second."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job, with initial parameters."""
        self.settings, self.clips, self.device = settings, clips, device
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast = Contrast(**settings["contrast"])
        self.model = MutualDistillation(
            settings["modalities"],
            self.skeleton,
            encoder_options(settings["encoder"]),
            queue_size=contrast.queue_size,
            key_momentum=contrast.key_momentum,
            seed=settings["seed"],
            mask_own_keys=contrast.mask_own_keys,
        ).to(device)
        self.temperature = contrast.temperature
        self.optimizer = build_optimizer(self.model.query.parameters(), settings["schedule"])
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the two views of every clip."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=2)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the loss of each modality."""
        assert self.views is not None
        settings, views = self.settings, self.views
        query, key = (
            generate_all(settings["modalities"], views(batch.position, batch.rows, view), batch.frames, self.skeleton)
            for view in (0, 1)
        )
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, settings["precision"]):
            losses = self.model.losses(
                query,
                key,
                self.temperature,
                settings["neighbors"],
                settings["teacher_temperature"],
                settings["student_temperature"],
                settings["distillation_weight"],
                seed_for(settings["seed"], "dropout", epoch, step),
                batch.rows,
            )
        torch.autograd.backward(list(losses.values()))
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}
