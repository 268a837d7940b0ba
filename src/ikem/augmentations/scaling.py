"""Scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class Scaling(Settings):
    """Scaling: multiply all coordinates of a clip by one random factor.

    Chen et al. 2021 (CTR-GCN, arXiv 2107.12213) train on NW-UCLA so.
    """

    kind: Literal["scaling"] = "scaling"
    low: float = Field(0.5, gt=0, le=100)
    """Smallest factor."""
    high: float = Field(1.5, gt=0, le=100)
    """Largest factor."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low: {self.low:g} must not be more than high ({self.high:g})")
        return self


def random_scaling(position: Tensor, uniform: Tensor, options: Scaling, skeleton: Skeleton) -> Tensor:
    """Multiply by factors between `low` and `high`."""
    factor = options.low + (options.high - options.low) * uniform
    return position * factor.to(position.device, position.dtype).view(-1, 1, 1, 1, 1)


AUGMENTATION = Augmentation(Scaling, 1, random_scaling)
