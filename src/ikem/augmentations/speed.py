"""Change of speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.crop_resize import at_times
from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class Speed(Settings):
    """Change of speed: a clip is resized to fewer or more frames; the first T are kept, and zeros follow.

    Lin et al. 2023 (ActCLR, arXiv 2303.10904).
    """

    kind: Literal["speed"] = "speed"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips whose speed changes."""
    smallest: float = Field(0.5, gt=0, le=100)
    """The smallest length, as a share of T; it is uniform from here to the largest."""
    largest: float = Field(1.5, gt=0, le=100)
    """The largest length, as a share of T."""


def resize(position: Tensor, length: Tensor) -> Tensor:
    """Resize each clip to a length of its own, by linear interpolation; keep T frames, and fill up with zeros.

    Args:
        position: (N, M, C, T, V).
        length: (N,) int64, 1 or more.

    Returns:
        (N, M, C, T, V).
    """
    import torch

    frames, length = position.shape[3], length.view(-1, 1)
    number = torch.arange(frames, device=position.device, dtype=torch.float64)
    times = ((number + 0.5) * frames / length - 0.5).clamp(0, frames - 1)
    return at_times(position, times).masked_fill((number >= length).view(-1, 1, 1, frames, 1), 0)


def lengths(uniform: Tensor, frames: int, options: Speed) -> Tensor:
    """Uniform numbers (N, 2) as lengths (N,) int64; T where the speed does not change."""
    share = options.smallest + (options.largest - options.smallest) * uniform[:, 1]
    changed = (share * frames).long().clamp_min(1)
    return changed.where(uniform[:, 0] < options.probability, changed.new_full((), frames))


def random_speed(position: Tensor, uniform: Tensor, options: Speed, skeleton: Skeleton) -> Tensor:
    """`resize` to a random length."""
    return resize(position, lengths(uniform, position.shape[3], options))


AUGMENTATION = Augmentation(Speed, 2, random_speed)
