"""AimCLR: momentum contrast with extreme views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.methods.aimclr.attention_drop import drop_attended
from ikem.methods.aimclr.losses import view_losses
from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer
from ikem.seeding import StepSeeds, seed_for
from ikem.training.loader import Batch, Clips
from ikem.training.moco import Branch


class AimCLRTrainer(MomentumContrastTrainer):
    """Momentum contrast of one modality whose losses see extreme views besides the query's and the key's.

    There is one extreme view, from which features are taken with and without what has most attention.

    Attributes:
        extreme_count: number of extreme views.
        targets: for each further feature the index of the feature whose distribution it learns.
    """

    extreme_count = 1
    targets: tuple[int, ...] = (0, 0)

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """See the base class."""
        super().__init__(settings, clips, device, inputs)
        (self.modality,) = settings["modalities"]
        self.extreme_augmentations = parse_augmentations(settings["extreme_augmentations"])
        self.extreme_views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw all views of every clip."""
        super().begin_epoch(epoch)
        seed = seed_for(self.settings["seed"], "extreme")
        self.extreme_views = Views(
            self.extreme_augmentations, self.skeleton, seed, epoch, self.clips.count, self.extreme_count
        )

    def positions(self, batch: Batch) -> list[Tensor]:
        """Those of the query, the key, and the extreme views."""
        assert self.extreme_views is not None
        extreme = [self.extreme_views(batch.position, batch.rows, view) for view in range(self.extreme_count)]
        return [*super().positions(batch), *extreme]

    def losses(
        self, views: Sequence[Mapping[str, Tensor]], epoch: int, dropout_seed: int | StepSeeds, clips: Tensor
    ) -> dict[str, Tensor]:
        """See the base class."""
        assert isinstance(dropout_seed, int)  # a subclass draws masks on the host
        settings, model = self.settings, self.model
        query, key_view, *extreme = views
        keys = model.keys(key_view, dropout_seed)
        first = model.query[self.modality](query[self.modality], seed_for(dropout_seed, self.modality, "query"))[1]
        seeds = [seed_for(dropout_seed, self.modality, "extreme", view) for view in range(self.extreme_count)]
        further = self.extreme_features([view[self.modality] for view in extreme], seeds)
        loss = view_losses(
            torch.stack([first, *further]),
            keys[0],
            model.queue.stacked[0],
            model.temperature,
            self.targets,
            settings["top_k"] if epoch >= settings["mining_epoch"] else 0,
            settings["positives"],
            model.own_keys(clips),
        )
        model.enqueue(keys, clips)
        return {self.modality: loss}

    def extreme_features(self, extreme: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """The features (B, D) of the extreme views (B, M, C, T, V), as many as there are targets."""
        settings, branch = self.settings, self.model.query[self.modality]
        assert isinstance(branch, Branch)
        (view,), (seed,) = extreme, seeds
        whole = branch.features(view, seed)
        dropped = drop_attended(whole, settings["joint_threshold"], settings["time_threshold"], settings["time_drop"])
        return [branch.project(features, bodies=view.shape[1]) for features in (whole, dropped)]
