"""Shear in space, or corruption of random joints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.augmentations.shear import shear, shear_matrices
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class ShearOrCorruption(Settings):
    """One of three: shear a clip, set random joints of it to zero, or multiply these joints by a random matrix.

    Mao et al. 2022 (CMD, arXiv 2208.12448), after Thoker et al. 2021 (arXiv 2108.03656).
    """

    kind: Literal["shear_or_corruption"] = "shear_or_corruption"
    corruption: float = Field(0.5, ge=0, le=1)
    """Probability that joints are corrupted; else the clip is sheared."""
    zero: float = Field(0.5, ge=0, le=1)
    """Probability that joints which are corrupted become zero; else they are multiplied by the matrix."""
    joints: float = Field(0.6, ge=0, le=1)
    """Share of the joints that are corrupted: 15 of 25."""
    amplitude: float = Field(1.0, ge=0, le=100)
    """Off-diagonal entries of the shear, and all entries of the matrix, are uniform within plus and minus this."""


def corrupt(position: Tensor, matrices: Tensor, joints: Tensor) -> Tensor:
    """Multiply the coordinates of some joints by a matrix.

    Args:
        position: (N, M, C=3, T, V).
        matrices: (N, 3, 3), out = A x; zero: the joints become zero.
        joints: (N, V) boolean, those that are corrupted.

    Returns:
        (N, M, 3, T, V).
    """
    return shear(position, matrices).where(joints.view(-1, 1, 1, 1, joints.shape[1]), position)


def random_subset(uniform: Tensor, count: int, chosen: int) -> Tensor:
    """For each number (N,) a random subset (N, count), boolean: `chosen` of `count` things, all equally likely."""
    from ikem.encoders.dropout import random_words

    order = random_words((uniform * 2**53).long(), count).argsort(dim=1)
    return order.argsort(dim=1) < chosen


def random_shear_or_corruption(
    position: Tensor, uniform: Tensor, options: ShearOrCorruption, skeleton: Skeleton
) -> Tensor:
    """One of the three at random."""
    corrupted = uniform[:, 0] < options.corruption
    factor = (2 * uniform[:, 2:11] - 1) * options.amplitude * (uniform[:, 1:2] >= options.zero)
    sheared = shear_matrices(uniform[:, 2:8], options.amplitude)
    matrices = factor.view(-1, 3, 3).where(corrupted.view(-1, 1, 1), sheared)
    count = position.shape[4]
    joints = random_subset(uniform[:, 11], count, round(options.joints * count))
    return corrupt(position, matrices, joints.logical_or(~corrupted.view(-1, 1)))


AUGMENTATION = Augmentation(ShearOrCorruption, 12, random_shear_or_corruption)
