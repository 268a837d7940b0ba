"""Masked motion prediction of one modality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.initialization import initialize
from ikem.encoders.registry import encoder_options
from ikem.methods.mamp.model import MaskedMotion
from ikem.modalities import generate
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class MAMPTrainer:
    """One modality; see `ikem.training.loop.Trainer` for what the loop asks of a trainer."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job, with initial parameters."""
        self.settings, self.clips, self.device = settings, clips, device
        (self.modality,) = settings["modalities"]
        self.skeleton = load_skeleton(settings["skeleton"])
        options = encoder_options(settings["encoder"])
        masking = settings["decoder_blocks"], settings["mask_ratio"], settings["mask_temperature"]
        self.model = MaskedMotion(self.skeleton, options, *masking)
        initialize(self.model, seed_for(settings["seed"], "mamp", self.modality), options.initialization)
        self.model.to(device)
        self.optimizer = build_optimizer(self.model.parameters(), settings["schedule"])
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the view of every clip."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=1)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the mean square error over the hidden tokens."""
        assert self.views is not None
        position = self.views(batch.position, batch.rows, 0)
        x = generate(self.modality, position, batch.frames, self.skeleton)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.settings["precision"]):
            loss = self.model(x, seed_for(self.settings["seed"], "mask", self.modality, epoch, step))
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {self.modality: loss.detach()}
