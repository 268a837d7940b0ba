"""Dropout as a function of a seed, with no generator to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ikem.encoders import normalise_cpu as _compiled

normalise_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read


@dataclass(frozen=True)
class Dropout:
    """Which values of some activations are dropped: a function of the seed and of their places.

    On a CPU a hash of the place decides, on other devices their own generator does: they drop other values.

    Attributes:
        seed: any number for each activations that differ.
        probability: of dropping a value, below 1.
    """

    seed: int
    probability: float

    @property
    def factor(self) -> float:
        """What kept values are multiplied with."""
        return 1 / (1 - self.probability)

    @property
    def numbers(self) -> tuple[np.uint32, np.uint32, np.uint32, np.float32]:
        """What the kernels need: two keys, the least hash of a value that is kept, the factor."""
        one, two = np.random.SeedSequence(self.seed).generate_state(2, np.uint32)
        return one, two, np.uint32(min(round(self.probability * 2**32), 2**32 - 1)), np.float32(self.factor)

    def mask(self, shape: tuple[int, int, int, int], device: torch.device) -> Tensor:
        """(N, C, T, V) float32: the factor where a value is kept, else 0."""
        samples, channels, frames, joints = shape
        mask = torch.ones(samples, frames, joints, channels, device=device)
        if device.type == "cpu":
            if self.probability > 0:
                rows = mask.view(samples * frames, -1).numpy()
                normalise_cpu.drop(rows, *self.numbers, 0, len(rows))
        else:
            generator = torch.Generator(device).manual_seed(self.seed)
            words = torch.empty(-(-mask.numel() // 4), dtype=torch.int64, device=device)
            words.random_(-(2**63), None, generator=generator)
            bits = words.view(torch.int16)[: mask.numel()].view(mask.shape)
            mask = (bits >= round(self.probability * 65536) - 32768) * self.factor
        return mask.permute(0, 3, 1, 2)


NOTHING_DROPPED = np.uint32(0), np.uint32(0), np.uint32(0), np.float32(1)
"""`Dropout.numbers` of no dropout."""
