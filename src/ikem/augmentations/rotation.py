"""Rotation in space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.augmentations.shear import shear
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class Rotation(Settings):
    """Rotation by a large angle about one axis, any with the same probability, and by small angles about the others.

    Guo et al. 2022 (AimCLR, arXiv 2112.03590). All angles are uniform from 0; the x axis turns first, z last.
    """

    kind: Literal["rotation"] = "rotation"
    main_degrees: float = Field(30.0, ge=0, le=360)
    """Largest angle about the chosen axis."""
    other_degrees: float = Field(1.0, ge=0, le=360)
    """Largest angle about each of the two others."""


def rotation_angles(uniform: Tensor, main_degrees: float = 30.0, other_degrees: float = 1.0) -> Tensor:
    """Uniform numbers (N, 4), that of the main axis and one for each angle, as angles about x, y, z: (N, 3) radians."""
    import torch

    main = (uniform[:, :1] * 3).long() == torch.arange(3, device=uniform.device)
    largest = main * (main_degrees - other_degrees) + other_degrees
    return uniform[:, 1:] * largest * (math.pi / 180)


def rotation_matrices(angles: Tensor) -> Tensor:
    """Angles (N, 3) about x, y, z as the matrices R_z R_y R_x, each counter-clockwise about its axis: (N, 3, 3)."""
    import torch

    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    rows = [
        *(cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        *(sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        *(-sy, cy * sx, cy * cx),
    ]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def random_rotation(position: Tensor, uniform: Tensor, options: Rotation, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, 3, T, V), each turned as its numbers (N, 4) say."""
    angles = rotation_angles(uniform, options.main_degrees, options.other_degrees)
    return shear(position, rotation_matrices(angles))  # a product with a matrix, too


AUGMENTATION = Augmentation(Rotation, 4, random_rotation)
