"""CMD: momentum contrast of several modalities that learn from one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ikem.losses.infonce import info_nce
from ikem.methods.cmd.losses import mutual_distillation
from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer
from ikem.seeding import StepSeeds
from ikem.training.moco import MomentumContrast


class CMDTrainer(MomentumContrastTrainer):
    """The queries see the first view of a clip, the keys the second."""

    exchanges = False

    def losses(
        self, views: Sequence[Mapping[str, Tensor]], epoch: int, dropout_seed: int | StepSeeds, clips: Tensor
    ) -> dict[str, Tensor]:
        """See the base class."""
        query, key = views
        return step_losses(self.model, query, key, self.settings, dropout_seed, clips)


def step_losses(
    model: MomentumContrast,
    query_view: Mapping[str, Tensor],
    key_view: Mapping[str, Tensor],
    options: Mapping[str, Any],
    dropout_seed: int | StepSeeds,
    clips: Tensor | None = None,
) -> dict[str, Tensor]:
    """The forward half of a step: momentum update; keys; queries; losses; the queues take the keys.

    Args:
        model: of several modalities.
        query_view, key_view: each modality (B, M, C, T, V) of the two views.
        options: neighbors, teacher_temperature and student_temperature of `mutual_distillation`, and
            distillation_weight, its weight beside InfoNCE.
        dropout_seed: fixes all dropout masks of the step.
        clips: (B,) int64, number of each clip; with `mask_own_keys` only.

    Returns:
        the loss of each modality as a student, to be minimized in sum.
    """
    keys = model.keys(key_view, dropout_seed)
    _, queries = model.queries(query_view, dropout_seed)
    queues, masked = model.queue.stacked, model.own_keys(clips)
    each = zip(queries, keys, queues, strict=True)
    contrast = torch.stack([info_nce(*parts, model.temperature, masked) for parts in each])
    temperatures = options["teacher_temperature"], options["student_temperature"]
    distillation = mutual_distillation(queries, keys, queues, options["neighbors"], *temperatures, masked)
    model.enqueue(keys, clips)
    losses = contrast + options["distillation_weight"] * distillation.sum(dim=0)
    return dict(zip(model.modalities, losses.unbind(), strict=True))
