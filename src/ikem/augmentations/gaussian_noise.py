"""Gaussian noise on every coordinate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class GaussianNoise(Settings):
    """Gaussian noise: a number of its own is added to every coordinate of a clip.

    Rao et al. 2021 (AS-CAL, arXiv 2008.00188); Guo et al. 2022 (AimCLR, arXiv 2112.03590).
    """

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips that get noise."""
    deviation: float = Field(0.01, ge=0, le=100)
    """Standard deviation, in meters for joints of NTU RGB+D and PKU-MMD."""


def standard_normal(uniform: Tensor, count: int) -> Tensor:
    """Standard normal numbers of many clips, each clip's as a function of one uniform number.

    They are computed where they are needed, so no epoch has to keep them: the 53 bits of the uniform number seed
    SplitMix64, and the Box-Muller transform (1958, doi 10.1214/aoms/1177706645) makes two numbers of each output.

    Args:
        uniform: (N,) float64 in [0, 1).
        count: of numbers for each clip.

    Returns:
        (N, count) float32.
    """
    import torch

    from ikem.encoders.dropout import random_words

    words = random_words((uniform * 2**53).long(), -(-count // 2)).view(torch.int32).float() / 2**32  # -1/2 to 1/2
    # The lowest words, one in 66 million, are -1/2 in float32; their logarithm would be infinite.
    radius = (words[:, ::2] + 0.5).clamp(min=2**-33).log().mul(-2).sqrt()
    angle = words[:, 1::2] * (2 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def random_noise(position: Tensor, uniform: Tensor, options: GaussianNoise, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, C, T, V) plus noise, where the first of the numbers (N, 2) is below the probability."""
    scale = (uniform[:, :1] < options.probability) * options.deviation
    noise = standard_normal(uniform[:, 1], position[0].numel()) * scale.float()
    return position + noise.view(position.shape).to(position.dtype)


AUGMENTATION = Augmentation(GaussianNoise, 2, random_noise)
