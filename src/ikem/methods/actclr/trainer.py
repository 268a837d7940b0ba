"""ActCLR: distillation of relations to a queue into views in which what moves is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.registry import encoder_options
from ikem.errors import InputError
from ikem.methods.actclr.losses import similarity_distillation
from ikem.methods.actclr.mixing import Mix, draw_mix, draw_offset
from ikem.methods.actclr.model import ActionletContrast
from ikem.modalities import generate
from ikem.seeding import seed_for
from ikem.settings.training import Contrast
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class ActCLRTrainer:
    """One modality, from the states of another method on."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job and the state that it starts from.

        Raises:
            InputError: the state is damaged or of another encoder, or the skeleton has no parts.
        """
        self.settings, self.clips, self.device = settings, clips, device
        (self.modality,) = settings["modalities"]
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast = Contrast(**settings["contrast"])
        self.model = ActionletContrast(
            self.modality,
            self.skeleton,
            encoder_options(settings["encoder"]),
            queue_size=contrast.queue_size,
            key_momentum=contrast.key_momentum,
            seed=settings["seed"],
            mask_own_keys=contrast.mask_own_keys,
            normalization=settings["actionlet"],
        ).to(device)
        try:
            self.model.load_start(load_tensors(inputs["start"])[0])
        except RuntimeError as error:
            words = " ".join(str(error).split())
            raise InputError(f"ActCLR cannot start from it ({words})", location=str(inputs["start"])) from error
        self.optimizer = build_optimizer(self.model.query.parameters(), settings["schedule"])
        self.augmentations = {
            name: parse_augmentations(settings[name])
            for name in ("augmentations", "normal_augmentations", "strong_augmentations")
        }
        self.views: list[Views] = []

    def begin_epoch(self, epoch: int) -> None:
        """Choose the augmentations of the epoch; draw the views of every clip: strong, normal, and two weak ones."""
        phase = next((phase for phase in self.settings["phases"] if epoch < phase["until"]), None)
        weak = self.augmentations["augmentations"] if phase else []
        chosen = {
            name: [*weak, *self._chosen(name, phase[name] if phase else 0, epoch)] for name in ("strong", "normal")
        }
        seed = self.settings["seed"]
        self.views = [
            Views(chosen["strong"], self.skeleton, seed_for(seed, "strong"), epoch, self.clips.count, views=1),
            Views(chosen["normal"], self.skeleton, seed_for(seed, "normal"), epoch, self.clips.count, views=1),
            Views(weak, self.skeleton, seed, epoch, self.clips.count, views=2),
        ]

    def _chosen(self, name: str, count: int, epoch: int) -> Sequence[Any]:
        """Some augmentations of a list, in its order."""
        every = self.augmentations[f"{name}_augmentations"]
        order = np.random.default_rng(seed_for(self.settings["seed"], name, "chosen", epoch)).permutation(len(every))
        return [every[index] for index in sorted(order[:count])]

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the sum of the losses of three views."""
        settings, model = self.settings, self.model
        dropout_seed, mixing_seed = (
            seed_for(settings["seed"], purpose, self.modality, epoch, step) for purpose in ("dropout", "mixing")
        )
        positions = [views(batch.position, batch.rows, 0) for views in self.views]
        positions.append(self.views[2](batch.position, batch.rows, 1))
        seen = [generate(self.modality, position, batch.frames, self.skeleton) for position in positions]
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, settings["precision"]):
            mixes = self._draw(len(batch.rows), mixing_seed, epoch)
            inputs, keys, mixed_keys = model.views(seen, mixes, settings["mixed_view"], dropout_seed)
            features = model.features(inputs, dropout_seed)
            losses = [self._loss(features[:2], keys, batch.rows), self._loss(features[2:], mixed_keys, batch.rows)]
            model.enqueue(keys.unsqueeze(0), batch.rows)
        loss = torch.cat(losses).sum()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {self.modality: loss.detach()}

    def _draw(self, clips: int, seed: int, epoch: int) -> tuple[int, Mix, Mix]:
        """How a batch is mixed."""
        parts, fine = len(self.model.parts), epoch >= self.settings["fine_mixing_epoch"]
        second, third = (
            draw_mix(seed_for(seed, view), clips, self.clips.frames, parts, fine_view)
            for view, fine_view in (("second", fine), ("third", False))
        )
        return draw_offset(seed_for(seed, "lengths"), clips), second, third

    def _loss(self, features: Tensor, keys: Tensor, clips: Tensor) -> Tensor:
        """Of some views that have the same keys."""
        settings = self.settings
        return similarity_distillation(
            features,
            keys,
            self.model.queue.stacked[0],
            settings["neighbors"],
            settings["duplicate"],
            settings["teacher_temperature"],
            settings["student_temperature"],
            self.model.own_keys(clips),
        )
