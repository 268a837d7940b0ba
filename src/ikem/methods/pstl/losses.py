"""The loss of PSTL, that of Barlow Twins."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ikem.losses.precision import full_precision


@full_precision
def barlow_twins(first: Tensor, second: Tensor, off_diagonal_weight: float) -> Tensor:
    """How far the cross-correlation of two views' features is from the identity.

    With z each feature of a view, standardized over the batch of B clips,

        C_ij = sum over clips of z_i^first z_j^second / B,
        loss = sum_i (1 - C_ii)^2 + off_diagonal_weight sum_i sum_{j != i} C_ij^2.

    Zbontar et al. 2021 (Barlow Twins, arXiv 2103.03230, equations 1 and 2), as Zhou et al. 2023 (PSTL, arXiv
    2302.09018) use it.

    Args:
        first, second: (B, D), B at least 2. 1e-5 is added to the variance of each feature.
        off_diagonal_weight: lambda.

    Returns:
        a scalar, float32 at least. Gradients reach both views.
    """
    correlation = _standardized(first).t() @ _standardized(second) / len(first)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal


def _standardized(features: Tensor) -> Tensor:
    return F.batch_norm(features, None, None, training=True, eps=1e-5)
