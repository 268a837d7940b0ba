"""Momentum contrast of modalities, each by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.heads import projection_head
from ikem.encoders.registry import encoder_options
from ikem.errors import InputError
from ikem.modalities import generate_all
from ikem.seeding import StepSeeds, seed_for
from ikem.settings.training import Contrast
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import Batch, Clips
from ikem.training.loop import load_training_tensors
from ikem.training.moco import MomentumContrast
from ikem.training.optimizers import build_optimizer
from ikem.training.precision import autocast


class MomentumContrastTrainer:
    """Momentum contrast of the modalities of a job; it starts from the states of stage 1, if the job has some.

    Attributes:
        replayable: see `ikem.training.graph.GraphTrainer`.
        exchanges: whether several modalities have exchange heads.
    """

    replayable = True
    exchanges = True

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job.

        Raises:
            InputError: a state is damaged, or is not of this model.
        """
        self.settings, self.clips, self.device = settings, clips, device
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast = Contrast(**settings["contrast"])
        self.model = MomentumContrast(
            settings["modalities"],
            self.skeleton,
            encoder_options(settings["encoder"]),
            queue_size=contrast.queue_size,
            key_momentum=contrast.key_momentum,
            temperature=contrast.temperature,
            top_k=settings.get("top_k", 1),
            mask_own_keys=contrast.mask_own_keys,
            seed=settings["seed"],
            initialization=settings["encoder"]["initialization"],
            head=self.head,
            exchanges=self.exchanges,
        ).to(device)
        self.optimizer = build_optimizer(self.model.trained_parameters(), settings["schedule"])
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.views: Views | None = None
        states = [inputs[name] for name in settings["modalities"] if name in inputs]
        if states:
            load_training_tensors(self, merge_states(states), new=("exchange_head",))

    def head(self, hidden_dim: int, feature_dim: int) -> nn.Module:
        """A projection head: (N, hidden_dim) to (N, feature_dim)."""
        return projection_head(hidden_dim, feature_dim)

    def begin_epoch(self, epoch: int) -> None:
        """Draw the two views of every clip."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=2)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the loss of each modality."""
        return self.compute(batch, epoch, self.dropout_seed(epoch, step))

    def dropout_seed(self, epoch: int, step: int) -> int:
        """What fixes all dropout masks of a step."""
        seed: int = seed_for(self.settings["seed"], "dropout", epoch, step)
        return seed

    def compute(self, batch: Batch, epoch: int, dropout_seed: int | StepSeeds) -> dict[str, Tensor]:
        """A step; see `ikem.training.graph.GraphTrainer`."""
        views = [generate_all(self.model.own, each, batch.frames, self.skeleton) for each in self.positions(batch)]
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.settings["precision"]):
            losses = self.losses(views, epoch, dropout_seed, batch.rows)
        torch.autograd.backward(list(losses.values()))
        self.optimizer.step()
        self.model.queue.flush()
        return {name: loss.detach() for name, loss in losses.items()}

    def positions(self, batch: Batch) -> list[Tensor]:
        """The position (B, M, C, T, V) of each view of a batch: the query's, the key's, and those of a subclass."""
        assert self.views is not None
        return [self.views(batch.position, batch.rows, view) for view in (0, 1)]

    def losses(
        self, views: Sequence[Mapping[str, Tensor]], epoch: int, dropout_seed: int | StepSeeds, clips: Tensor
    ) -> dict[str, Tensor]:
        """The loss of each modality.

        Args:
            views: for each of `positions` the modalities of the job.
            epoch: counted from 0.
            dropout_seed: fixes all dropout masks of the step.
            clips: (B,) int64, number of each clip.
        """
        query, key = views
        return self.model.losses(query, key, "contrast", dropout_seed=dropout_seed, clips=clips)


def merge_states(paths: Collection[Path]) -> dict[str, Tensor]:
    """The states of several modalities in one; their queues must have the same pointer.

    Raises:
        InputError: a state is damaged, or its queue has other clips at the positions of the others' queues.
    """
    merged: dict[str, Tensor] = {}
    for path in paths:
        state, _ = load_tensors(path)
        if "queue.pointer" in merged and merged["queue.pointer"] != state["queue.pointer"]:
            raise InputError(
                "the pointer of its queue differs from those of the other modalities",
                location=str(path),
                hint="Delete the states of stage 1 and run again",
            )
        merged |= state
    return merged
