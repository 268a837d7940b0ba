"""Reversal of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class TimeFlip(Settings):
    """Reversal of time: the last frame comes first.

    Guo et al. 2022 (AimCLR, arXiv 2112.03590), "temporal flip".
    """

    kind: Literal["time_flip"] = "time_flip"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips that run backwards."""


def random_time_flip(position: Tensor, uniform: Tensor, options: TimeFlip, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, C, T, V), backwards if their number (N, 1) is below the probability."""
    return position.flip(3).where(uniform.view(-1, 1, 1, 1, 1) < options.probability, position)


AUGMENTATION = Augmentation(TimeFlip, 1, random_time_flip)
