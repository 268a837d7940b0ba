"""What a part of the benchmark is: the same work done twice, plainly and by the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Call = Callable[[], object]


@dataclass(frozen=True)
class Sizes:
    """How large the parts are; the defaults are the published widths.

    Attributes:
        batch: clips of a step.
        frames: frames of a prepared clip.
        queue: keys in a queue.
        hidden_channels, hidden_dim, feature_dim: widths of the encoder and of its head.
        modalities: how many take part, in the published order.
        students: how many are distilled.
        raw_clips: clips that are decoded and prepared.
        batches: batches that are augmented in one call, with draws made once for all of them.
        train_clips, test_clips, classes: of the linear evaluation.
        epochs: of the linear evaluation.
        timed_epochs: of the plain linear evaluation, which is scaled to `epochs`.
    """

    batch: int = 32
    frames: int = 50
    queue: int = 32768
    hidden_channels: int = 16
    hidden_dim: int = 256
    feature_dim: int = 128
    modalities: int = 6
    students: int = 3
    raw_clips: int = 64
    batches: int = 8
    train_clips: int = 64
    test_clips: int = 32
    classes: int = 60
    epochs: int = 100
    timed_epochs: int = 2

    @property
    def dropout(self) -> float:
        """That of the published encoder."""
        return 0.5


TINY = Sizes(
    batch=4,
    frames=16,
    queue=64,
    hidden_channels=4,
    hidden_dim=16,
    feature_dim=8,
    raw_clips=3,
    batches=2,
    train_clips=8,
    test_clips=4,
    classes=3,
    epochs=3,
)
"""For tests, and to have everything compiled before it is measured."""


@dataclass(frozen=True)
class Pair:
    """One part, set up.

    Attributes:
        plain, ours: do the work once; what they return is thrown away.
        difference: the largest absolute difference between what both compute of the same input.
        size: in words.
        note: what a reader must know of the comparison.
        factor: what the plain time is multiplied by.
    """

    plain: Call
    ours: Call
    difference: Callable[[], float]
    size: str
    note: str = ""
    factor: float = 1.0


def largest_difference(pairs: Iterable[tuple[object, object]]) -> float:
    """Of arrays or tensors of equal shapes."""
    largest = 0.0
    for one, other in pairs:
        first, second = (_double(each) for each in (one, other))
        if first.shape != second.shape:
            raise ValueError(f"shapes {first.shape} and {second.shape}")
        largest = max(largest, float(np.abs(first - second).max(initial=0.0)))
    return largest


def _double(value: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=np.float64)


def units(*shape: int, seed: int, device: torch.device, dim: int = -1) -> Tensor:
    """Random unit vectors along `dim`."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=dim).to(device)


def positions(clips: int, frames: int, seed: int, device: torch.device) -> Tensor:
    """Clips (N, C, T, V, M) as they lie on disk, with two bodies."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, 3, frames, 25, 2, generator=generator).to(device)


def in_memory(disk: Tensor) -> Tensor:
    """(N, C, T, V, M) to (N, M, C, T, V)."""
    return disk.permute(0, 4, 1, 2, 3).contiguous()
