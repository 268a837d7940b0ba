"""Rotation of the view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.augmentations.rotation import rotation_matrices
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


def random_view_rotation(position: Tensor, uniform: Tensor, options: ViewRotation, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, 3, T, V), each multiplied by R_x(tilt) R_y(turn) of its numbers (N, 2)."""
    import torch

    turn, tilt = (2 * uniform - 1).unbind(dim=1)
    turn, tilt = math.radians(options.turn_degrees) * turn, math.radians(options.tilt_degrees) * tilt
    # R_x(tilt) R_y(turn) is the transpose, which is the inverse, of R_y(-turn) R_x(-tilt).
    angles = torch.stack([-tilt, -turn, torch.zeros_like(turn)], dim=1)
    return shear(position, rotation_matrices(angles).mT)


AUGMENTATION = Augmentation(ViewRotation, 2, random_view_rotation)
