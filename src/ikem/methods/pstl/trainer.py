"""PSTL: learning from partial clips."""

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
from ikem.methods.pstl.masks import remaining_joints, slow_frames
from ikem.methods.pstl.model import PartialLearning
from ikem.modalities import generate
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class PSTLTrainer:
    """One modality. It is formed first; then its three views are drawn."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job, with initial parameters.

        Raises:
            InputError: the last batch of an epoch has one clip, which has no correlation.
        """
        self.settings, self.clips, self.device = settings, clips, device
        (self.modality,) = settings["modalities"]
        batch_size = settings["schedule"]["batch_size"]
        if clips.count == 1 or (clips.count % batch_size == 1 and not settings["drop_last"]):
            raise InputError(
                f"the last of {clips.count} clips is alone in its batch, so it has no correlation",
                hint="Set drop_last of the recipe to true, or choose another batch_size",
            )
        self.skeleton = load_skeleton(settings["skeleton"])
        self.model = PartialLearning(
            self.skeleton,
            encoder_options(settings["encoder"]),
            settings["projector_dim"],
            seed_for(settings["seed"], "pstl", self.modality),
        ).to(device)
        self.optimizer = build_optimizer(self.model.parameters(), settings["schedule"])
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.fast, self.random = (round(settings[name] * clips.frames) for name in ("fast_frames", "random_frames"))
        self.joint_draws = round(settings["masked_joints"] * self.skeleton.joint_count)
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the three views of every clip, or of every batch: an epoch has no more batches than clips."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=3)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the sum of both losses."""
        assert self.views is not None
        settings = self.settings
        x = generate(self.modality, batch.position, batch.frames, self.skeleton)
        rows = batch.rows if settings["draws"] == "clip" else torch.full_like(batch.rows, step)
        whole, slow, peripheral = (self.views(x, rows, view) for view in (0, 1, 2))
        frames_seed, joints_seed, dropout_seed = (
            seed_for(settings["seed"], purpose, self.modality, epoch, step)
            for purpose in ("frames", "joints", "dropout")
        )
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, settings["precision"]):
            losses = self.model.losses(
                whole,
                slow_frames(slow, self.fast, self.random, frames_seed),
                peripheral,
                self._to_device(remaining_joints(self.skeleton, self.joint_draws, joints_seed)),
                settings["off_diagonal_weight"],
                dropout_seed,
            )
        loss = losses[0] + losses[1]
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {self.modality: loss.detach()}

    def _to_device(self, numbers: Any) -> Tensor:
        """Without waiting for what the device is doing."""
        loaded = torch.from_numpy(numbers)
        return (loaded.pin_memory() if self.device.type == "cuda" else loaded).to(self.device, non_blocking=True)
