"""Crop in time and shear: the two augmentations of a view, and their random draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What sets these draws apart from others of the same seed and epoch.
_PURPOSE = 0xA06


@dataclass(frozen=True)
class Draws:
    """The draws of one view of every sample of an epoch; row i is sample i's, whatever batch it falls into.

    Attributes:
        start: (count,) int64, first frame of the crop in the padded clip.
        shear: (count, 3, 3) float32.
    """

    start: NDArray[np.int64]
    shear: NDArray[np.float32]


def draw(
    seed: int,
    epoch: int,
    view: int,
    count: int,
    frames: int,
    padding_ratio: int = 6,
    shear_amplitude: float = 0.5,
) -> Draws:
    """Draw the augmentation of one view of all samples.

    A row depends on (seed, epoch, view) and its own number only: not on `count`, nor on what was drawn before.

    Args:
        seed, epoch, view: integers of 0 or more.
        count: number of samples.
        frames: T, the frames of a clip.
        padding_ratio: the clip is padded by T // padding_ratio frames on each side; 0 pads nothing.
        shear_amplitude: the six off-diagonal coefficients are uniform within plus and minus this.
    """
    uniform = np.random.default_rng([_PURPOSE, seed, epoch, view]).random((count, 7))
    padding = _padding(frames, padding_ratio)
    start = (uniform[:, 0] * (2 * padding + 1)).astype(np.int64)
    shear = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))
    shear[:, ~np.eye(3, dtype=bool)] = (2 * uniform[:, 1:] - 1) * shear_amplitude
    return Draws(start, shear)


def _padding(frames: int, padding_ratio: int) -> int:
    return frames // padding_ratio if padding_ratio else 0


def crop(position: Tensor, start: Tensor, padding_ratio: int = 6) -> Tensor:
    """Pad each clip by mirroring (the edge frame repeated), then cut its own T frames.

    Args:
        position: (N, M, C, T, V).
        start: (N,) integers in 0 .. 2 (T // padding_ratio) inclusive.
        padding_ratio: see `draw`.

    Returns:
        (N, M, C, T, V), a copy.
    """
    clips, bodies, channels, frames, joints = position.shape
    times = torch.arange(frames, device=position.device) - _padding(frames, padding_ratio)
    index = start.to(position.device, torch.int64).view(-1, 1) + times
    index = torch.where(index < 0, -1 - index, index)
    index = torch.where(index >= frames, 2 * frames - 1 - index, index)
    # Whole rows of joints are moved, which is as cheap as a copy.
    sequences = torch.arange(clips * bodies * channels, device=position.device).view(clips, -1, 1)
    rows = (sequences * frames + index.view(clips, 1, frames)).view(-1)
    return position.reshape(-1, joints).index_select(0, rows).view(position.shape)


def shear(position: Tensor, matrices: Tensor) -> Tensor:
    """Multiply every coordinate vector of a clip by the clip's matrix.

    Args:
        position: (N, M, C=3, T, V).
        matrices: (N, 3, 3), out = S x.

    Returns:
        (N, M, 3, T, V).
    """
    clips, bodies = position.shape[:2]
    matrices = matrices.to(position.device, position.dtype)
    repeated = matrices.repeat_interleave(bodies, dim=0)
    return torch.bmm(repeated, position.reshape(clips * bodies, 3, -1)).view(position.shape)
