"""Rotation about all three axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.augmentations.rotation import rotation_matrices
from ikem.augmentations.shear import shear
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class EulerRotation(Settings):
    """Rotation of a clip about the axes x, y and z, one after the other.

    Chen et al. 2021 (CTR-GCN, arXiv 2107.12213); Mao et al. 2023 (MAMP, arXiv 2308.07092), with angles up to 0.3.
    """

    kind: Literal["euler_rotation"] = "euler_rotation"
    largest: float = Field(0.3, ge=0, le=3.15)
    """The three angles are uniform within plus and minus this, in radians."""


def random_euler_rotation(position: Tensor, uniform: Tensor, options: EulerRotation, skeleton: Skeleton) -> Tensor:
    """Multiply every coordinate vector of a clip by R_z R_y R_x of random angles."""
    return shear(position, rotation_matrices((2 * uniform - 1) * options.largest))


AUGMENTATION = Augmentation(EulerRotation, 3, random_euler_rotation)
