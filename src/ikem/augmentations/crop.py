"""Crop in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class Crop(Settings):
    """Crop in time: pad each clip by mirroring, then keep T consecutive frames from a random one on.

    Li et al. 2021 (arXiv 2104.14466), with the padding T // 6.
    """

    kind: Literal["crop"] = "crop"
    padding_ratio: int = Field(6, ge=0, le=1000)
    """A clip of T frames is padded by T // padding_ratio frames on each side; 0: by none."""


def crop(position: Tensor, start: Tensor, padding_ratio: int = 6) -> Tensor:
    """Pad each clip by mirroring (the edge frame repeated), then keep T frames.

    Args:
        position: (N, M, C, T, V).
        start: (N,) integers in 0 .. 2 (T // padding_ratio) inclusive: first frame of the crop in the padded clip.
        padding_ratio: see `Crop`.

    Returns:
        (N, M, C, T, V), a copy.
    """
    import torch

    clips, bodies, channels, frames, joints = position.shape
    times = torch.arange(frames, device=position.device) - _padding(frames, padding_ratio)
    index = start.to(position.device, torch.int64).view(-1, 1) + times
    index = torch.where(index < 0, -1 - index, index)
    index = torch.where(index >= frames, 2 * frames - 1 - index, index)
    # Whole rows of joints are moved, which is as cheap as a copy.
    sequences = torch.arange(clips * bodies * channels, device=position.device).view(clips, -1, 1)
    rows = (sequences * frames + index.view(clips, 1, frames)).view(-1)
    return position.reshape(-1, joints).index_select(0, rows).view(position.shape)


def crop_start(uniform: Tensor, frames: int, padding_ratio: int = 6) -> Tensor:
    """Uniform numbers (N, 1) as first frames of crops: (N,) int64."""
    return (uniform[:, 0] * (2 * _padding(frames, padding_ratio) + 1)).long()


def _padding(frames: int, padding_ratio: int) -> int:
    return frames // padding_ratio if padding_ratio else 0


def random_crop(position: Tensor, uniform: Tensor, options: Crop, skeleton: Skeleton) -> Tensor:
    """`crop` from a random frame on."""
    return crop(position, crop_start(uniform, position.shape[3], options.padding_ratio), options.padding_ratio)


AUGMENTATION = Augmentation(Crop, 1, random_crop)
