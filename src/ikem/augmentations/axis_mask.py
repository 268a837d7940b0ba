"""Mask of an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class AxisMask(Settings):
    """Mask of an axis: one of the three coordinates, any with the same probability, is zero in the whole clip.

    Guo et al. 2022 (AimCLR, arXiv 2112.03590).
    """

    kind: Literal["axis_mask"] = "axis_mask"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips that lose an axis."""


def random_axis_mask(position: Tensor, uniform: Tensor, options: AxisMask, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, 3, T, V) without an axis where the first of the numbers (N, 2) is below the probability."""
    import torch

    chosen = (uniform[:, 1:] * 3).long() == torch.arange(3, device=uniform.device)
    masked = chosen & (uniform[:, :1] < options.probability)
    return position.masked_fill(masked.view(-1, 1, 3, 1, 1), 0)


AUGMENTATION = Augmentation(AxisMask, 2, random_axis_mask)
