"""The augmented views of an epoch.

What a clip undergoes is a function of (seed, epoch, view, clip) and of the list of augmentations, never of the batch
that it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ikem.augmentations.registry import AUGMENTATIONS
from ikem.seeding import seed_for

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton

# What sets these draws apart from others of the same seed and epoch.
_PURPOSE = 0xA06


def draw(seed: int, epoch: int, view: int, count: int, numbers: int) -> Tensor:
    """Random numbers for one view of `count` clips: (count, numbers) float64, uniform in [0, 1).

    A row depends on (seed, epoch, view) and its own index only: not on `count`, nor on what was drawn before.
    """
    import torch

    generator = np.random.default_rng([_PURPOSE, seed_for(seed, "augmentation") & 0xFFFFFFFF, epoch, view])
    return torch.from_numpy(generator.random((count, numbers)))


class Views:
    """The augmented views of an epoch: random numbers for every clip, and the batches augmented with them.

    Args:
        augmentations: the options of each, in the order in which they are applied.
        skeleton: of the clips.
        seed, epoch: of the run.
        count: number of clips.
        views: number of views of each clip.
    """

    def __init__(
        self, augmentations: Sequence[Any], skeleton: Skeleton, seed: int, epoch: int, count: int, views: int
    ) -> None:
        self._skeleton = skeleton
        self._chain = [(AUGMENTATIONS[options.kind], options) for options in augmentations]
        self._widths = [augmentation.numbers for augmentation, _ in self._chain]
        self._numbers = [draw(seed, epoch, view, count, sum(self._widths)) for view in range(views)]

    def __call__(self, position: Tensor, rows: Tensor, view: int) -> Tensor:
        """One view of a batch.

        Args:
            position: (B, M, C, T, V).
            rows: (B,) int64, indices of the clips among all `count`; on the device of `position`.
            view: index of the view.

        Returns:
            (B, M, C, T, V).
        """
        import torch

        self._numbers[view] = self._numbers[view].to(position.device)  # once an epoch, not once a batch
        numbers = self._numbers[view].index_select(0, rows)
        parts = torch.split(numbers, self._widths, dim=1)
        for (augmentation, options), uniform in zip(self._chain, parts, strict=True):
            position = augmentation.apply(position, uniform, options, self._skeleton)
        return position
