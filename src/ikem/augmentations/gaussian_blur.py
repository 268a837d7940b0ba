"""Gaussian blur along time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class GaussianBlur(Settings):
    """Gaussian blur along time: each frame becomes a sum of the frames around it, weighted by exp(-i^2 / (2 s^2)).

    Rao et al. 2021 (AS-CAL, arXiv 2008.00188); Guo et al. 2022 (AimCLR, arXiv 2112.03590). Frames before the first and
    after the last count as zero.
    """

    kind: Literal["gaussian_blur"] = "gaussian_blur"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips that are blurred."""
    radius: int = Field(7, ge=0, le=1000)
    """Frames on each side that count."""
    smallest_deviation: float = Field(0.1, gt=0, le=1000)
    """Smallest standard deviation s, in frames; it is uniform from here to the largest."""
    largest_deviation: float = Field(2.0, gt=0, le=1000)
    """Largest standard deviation s, in frames."""
    normalized: bool = False
    """Whether the weights are divided by their sum. In the published code they are not, so a blurred clip is also up to
    five times as large."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.smallest_deviation > self.largest_deviation:
            raise ValueError("smallest_deviation: more than largest_deviation")
        return self


def blur(position: Tensor, weights: Tensor) -> Tensor:
    """Convolve each clip along time, zero beyond its ends.

    Args:
        position: (N, M, C, T, V).
        weights: (N, 2 r + 1) of the frames t - r .. t + r.

    Returns:
        (N, M, C, T, V).
    """
    import torch

    times, radius = torch.arange(position.shape[3], device=position.device), weights.shape[1] // 2
    offset = times - times[:, None] + radius  # row: frame that is computed; column: frame that counts
    inside = (offset >= 0) & (offset < weights.shape[1])
    matrices = weights.to(position.dtype)[:, offset.clamp(0, weights.shape[1] - 1)] * inside
    return matrices[:, None, None] @ position


def blur_weights(uniform: Tensor, options: GaussianBlur) -> Tensor:
    """Uniform numbers (N, 2) as weights (N, 2 r + 1); those of a clip that is not blurred keep each frame."""
    import torch

    offset = torch.arange(-options.radius, options.radius + 1, device=uniform.device)
    deviation = options.smallest_deviation + uniform[:, 1:] * (options.largest_deviation - options.smallest_deviation)
    weights = (-(offset**2) / (2 * deviation**2)).exp()
    if options.normalized:
        weights = weights / weights.sum(dim=1, keepdim=True)
    return weights.where(uniform[:, :1] < options.probability, (offset == 0).to(weights.dtype))


def random_blur(position: Tensor, uniform: Tensor, options: GaussianBlur, skeleton: Skeleton) -> Tensor:
    """`blur` with random weights."""
    return blur(position, blur_weights(uniform, options))


AUGMENTATION = Augmentation(GaussianBlur, 2, random_blur)
