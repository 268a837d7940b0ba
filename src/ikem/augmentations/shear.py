"""Shear in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


class Shear(Settings):
    """Shear: multiply all coordinates of a clip by a random matrix with ones on its diagonal.

    Rao et al. 2021 (AS-CAL, arXiv 2008.00188); Li et al. 2021 (arXiv 2104.14466), with the amplitude 0.5.
    """

    kind: Literal["shear"] = "shear"
    amplitude: float = Field(0.5, ge=0, le=100)
    """The six other entries of the matrix are uniform within plus and minus this."""


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


def random_shear(position: Tensor, uniform: Tensor, options: Shear, skeleton: Skeleton) -> Tensor:
    """`shear` by a random matrix."""
    return shear(position, shear_matrices(uniform, options.amplitude))


AUGMENTATION = Augmentation(Shear, 6, random_shear)
