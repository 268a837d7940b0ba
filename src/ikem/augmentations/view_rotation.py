"""Rotation of the view."""

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


class ViewRotation(Settings):
    """View rotation: turn a clip about the vertical axis and tilt it about the horizontal one, by random angles.

    It stands for another place of the camera. Chen et al. 2021 (CTR-GCN, arXiv 2107.12213) train on NW-UCLA so.
    """

    kind: Literal["view_rotation"] = "view_rotation"
    turn_degrees: float = Field(60.0, ge=0, le=180)
    """The angle about the vertical axis y is uniform within plus and minus this."""
    tilt_degrees: float = Field(60.0, ge=0, le=180)
    """The angle about the horizontal axis x is uniform within plus and minus this."""


def rotation_matrices(turn: Tensor, tilt: Tensor) -> Tensor:
    """Angles (N,) in radians as matrices (N, 3, 3) that first turn about y, then tilt about x: R_x(tilt) R_y(turn)."""
    import torch

    (cos_y, sin_y), (cos_x, sin_x) = (turn.cos(), turn.sin()), (tilt.cos(), tilt.sin())
    zero = torch.zeros_like(turn)
    rows = [cos_y, zero, sin_y, sin_x * sin_y, cos_x, -sin_x * cos_y, -cos_x * sin_y, sin_x, cos_x * cos_y]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def random_view_rotation(position: Tensor, uniform: Tensor, options: ViewRotation, skeleton: Skeleton) -> Tensor:
    """Multiply by matrices of random angles."""
    turn, tilt = (2 * uniform - 1).unbind(dim=1)
    turn, tilt = math.radians(options.turn_degrees) * turn, math.radians(options.tilt_degrees) * tilt
    return shear(position, rotation_matrices(turn, tilt))


AUGMENTATION = Augmentation(ViewRotation, 2, random_view_rotation)
