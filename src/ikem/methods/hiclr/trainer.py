"""HiCLR: momentum contrast with a chain of growing augmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ikem.methods.aimclr.trainer import AimCLRTrainer
from ikem.methods.hiclr.joint_mask import joint_mask
from ikem.seeding import seed_for
from ikem.training.loader import Clips
from ikem.training.optimizers import build_optimizer


class HiCLRTrainer(AimCLRTrainer):
    """Two extreme views, the second with masked joints; each learns the distribution of the view before it.

    The state has `mask_value` besides, the number that replaces masked coordinates.
    """

    extreme_count = 2
    targets = (0, 1)

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """See the base class."""
        super().__init__(settings, clips, device, inputs)
        self.mask_value = nn.Parameter(torch.zeros(1, device=device))
        self.model.register_parameter("mask_value", self.mask_value)
        parameters = [*self.model.trained_parameters(), self.mask_value]
        self.optimizer = build_optimizer(parameters, settings["schedule"])

    def extreme_features(self, extreme: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """See the base class."""
        branch, (first, second) = self.model.query[self.modality], extreme
        frames, joints = second.shape[-2:]
        count = int(joints * self.settings["masked_joints"])
        mask = joint_mask(seed_for(seeds[1], "joint mask"), frames, joints, count, second.device)
        views = first, torch.where(mask, self.mask_value, second)
        return [branch(view, seed)[1] for view, seed in zip(views, seeds, strict=True)]
