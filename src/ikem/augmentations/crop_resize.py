"""Crop in time, resized to the length of the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class CropResize(Settings):
    """Crop in time: keep a random part of each clip, and resize it to the T frames of the clip by linear interpolation.

    Mao et al. 2022 (CMD, arXiv 2208.12448), where the part is drawn from 0.1 to 1 of the raw frames, but has 64 of them
    at least. Clips are resized before they are augmented here, so `at_least` stands for 64 raw frames: 0.75 of a clip
    of 85, the mean of NTU RGB+D.
    """

    kind: Literal["crop_resize"] = "crop_resize"
    smallest: float = Field(0.1, gt=0, le=1)
    """The part is drawn uniformly from this to 1."""
    at_least: float = Field(0.75, ge=0, le=1)
    """A smaller part is enlarged to this."""


def crop_resize(position: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """The frames from `start` on, resized to all T frames by linear interpolation.

    Frame t of the result is the crop at the time (t + 1/2) length / T - 1/2, between its first and its last frame: what
    PyTorch's `interpolate` gives for the mode "linear".

    Args:
        position: (N, M, C, T, V).
        start: (N,) int64, first frame of each crop.
        length: (N,) int64, 1 to T - start.

    Returns:
        (N, M, C, T, V).
    """
    import torch

    frames = position.shape[3]
    centers = torch.arange(frames, device=position.device, dtype=torch.float64) + 0.5
    times = centers * length.view(-1, 1) / frames - 0.5
    times = start.view(-1, 1) + times.clamp_min(0).minimum(length.view(-1, 1) - 1)
    return at_times(position, times)


def at_times(position: Tensor, times: Tensor) -> Tensor:
    """Each clip at other times, by linear interpolation between its frames.

    Args:
        position: (N, M, C, T, V).
        times: (N, T'), in 0 .. T - 1.

    Returns:
        (N, M, C, T', V).
    """
    import torch

    clips, bodies, channels, frames, joints = position.shape
    before = times.floor()
    after = (before + 1).clamp_max(frames - 1)
    # Whole rows of joints are moved, which is as cheap as a copy.
    sequences = torch.arange(clips * bodies * channels, device=position.device).view(clips, -1, 1) * frames
    rows = position.reshape(-1, joints)
    first, second = (
        rows.index_select(0, (sequences + index.long().unsqueeze(1)).view(-1)).view(
            clips, bodies, channels, times.shape[1], joints
        )
        for index in (before, after)
    )
    weight = (times - before).to(position.dtype).view(clips, 1, 1, -1, 1)
    return first.lerp(second, weight)


def crop_frames(uniform: Tensor, frames: int, options: CropResize) -> tuple[Tensor, Tensor]:
    """Uniform numbers (N, 2) as first frames and lengths of crops: (N,) int64 each."""
    part = (options.smallest + (1 - options.smallest) * uniform[:, 0]).clamp_min(options.at_least)
    length = (part * frames).long().clamp_min(1)
    return (uniform[:, 1] * (frames - length + 1)).long(), length


def random_crop_resize(position: Tensor, uniform: Tensor, options: CropResize, skeleton: Skeleton) -> Tensor:
    """`crop_resize` of a random part."""
    return crop_resize(position, *crop_frames(uniform, position.shape[3], options))


AUGMENTATION = Augmentation(CropResize, 2, random_crop_resize)
