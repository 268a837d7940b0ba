"""Augmentations: random changes of a clip that keep its action, and the views of an epoch that they give.

To add an augmentation: its options, a function, and an entry of `AUGMENTATIONS`. What a clip undergoes is a function of
(seed, epoch, view, clip) and of the list of augmentations, never of the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ikem.schema import Settings
from ikem.training.seeding import seed_for

if TYPE_CHECKING:
    from torch import Tensor

# What sets these draws apart from others of the same seed and epoch.
_PURPOSE = 0xA06


class Crop(Settings):
    """Crop in time: pad each clip by mirroring, then keep T consecutive frames from a random one on.

    Li et al. 2021 (arXiv 2104.14466), with the padding T // 6.
    """

    kind: Literal["crop"] = "crop"
    padding_ratio: int = Field(6, ge=0, le=1000)
    """A clip of T frames is padded by T // padding_ratio frames on each side; 0: by none."""


class Shear(Settings):
    """Shear: multiply all coordinates of a clip by a random matrix with ones on its diagonal.

    Rao et al. 2021 (AS-CAL, arXiv 2008.00188); Li et al. 2021 (arXiv 2104.14466), with the amplitude 0.5.
    """

    kind: Literal["shear"] = "shear"
    amplitude: float = Field(0.5, ge=0, le=100)
    """The six other entries of the matrix are uniform within plus and minus this."""


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
    return repeated.bmm(position.reshape(clips * bodies, 3, -1)).view(position.shape)


def shear_matrices(uniform: Tensor, amplitude: float = 0.5) -> Tensor:
    """Uniform numbers (N, 6) as the off-diagonal entries, row by row, of matrices: (N, 3, 3)."""
    import torch

    one, entries = uniform.new_ones(len(uniform), 1), (2 * uniform - 1) * amplitude
    return torch.cat([one, entries[:, :3], one, entries[:, 3:], one], dim=1).view(-1, 3, 3)


def random_crop(position: Tensor, uniform: Tensor, options: Crop) -> Tensor:
    """`crop` from a random frame on."""
    return crop(position, crop_start(uniform, position.shape[3], options.padding_ratio), options.padding_ratio)


def random_shear(position: Tensor, uniform: Tensor, options: Shear) -> Tensor:
    """`shear` by a random matrix."""
    return shear(position, shear_matrices(uniform, options.amplitude))


@dataclass(frozen=True)
class Augmentation:
    """A registered augmentation.

    Attributes:
        options: its section of a config; `kind` is its name.
        numbers: how many random numbers it needs for a clip.
        apply: from (position (N, M, C, T, V), random numbers (N, numbers), options) to (N, M, C, T, V); the numbers are
            float64, uniform in [0, 1).
    """

    options: type[Settings]
    numbers: int
    apply: Callable[[Tensor, Tensor, Any], Tensor]


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": Augmentation(Crop, 1, random_crop),
    "shear": Augmentation(Shear, 6, random_shear),
}
"""Every augmentation, by its name: the `kind` of an entry of a list of augmentations."""

if TYPE_CHECKING:
    AugmentationEntry = Any
else:
    AugmentationEntry = Annotated[
        reduce(or_, (each.options for each in AUGMENTATIONS.values())), Field(discriminator="kind")
    ]
    """The options of one of the augmentations."""

PUBLISHED: tuple[AugmentationEntry, ...] = (Crop(), Shear())
"""The augmentations of the published methods, applied in this order."""


def parse_augmentations(settings: Iterable[Mapping[str, Any]]) -> list[AugmentationEntry]:
    """The options of each augmentation, from the settings of a job."""
    return [AUGMENTATIONS[values["kind"]].options(**values) for values in settings]


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
        seed, epoch: of the run.
        count: number of clips.
        views: number of views of each clip.
    """

    def __init__(self, augmentations: Sequence[Any], seed: int, epoch: int, count: int, views: int) -> None:
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
            position = augmentation.apply(position, uniform, options)
        return position
