"""Sampling of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class FrameSampling(Settings):
    """Sampling of frames: T frames of each clip at random, in their order; some are repeated, and some are left out.

    Chen et al. 2021 (CTR-GCN, arXiv 2107.12213) train on NW-UCLA so, where they sample the raw frames; here clips were
    resized to T frames before.
    """

    kind: Literal["frame_sampling"] = "frame_sampling"


def sampled_frames(uniform: Tensor, frames: int) -> Tensor:
    """Uniform numbers (N,) as `frames` independent frames of each clip, sorted: (N, frames) int64.

    As with Gaussian noise, a clip's number seeds a generator.
    """
    from ikem.encoders.dropout import random_words

    words = random_words((uniform * 2**53).long(), frames)
    return ((words & 0xFFFFFFFF) * frames >> 32).sort(dim=1).values


def random_frame_sampling(position: Tensor, uniform: Tensor, options: FrameSampling, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, C, T, V), each with the frames that its number (N, 1) gives."""
    frames = position.shape[3]
    index = sampled_frames(uniform[:, 0], frames).view(-1, 1, 1, frames, 1)
    return position.gather(3, index.expand_as(position))


AUGMENTATION = Augmentation(FrameSampling, 1, random_frame_sampling)
