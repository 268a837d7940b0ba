"""From the features of an encoder to embeddings."""

from __future__ import annotations

from torch import Tensor


def pool(features: Tensor, bodies: int) -> Tensor:
    """The mean over frames, joints and bodies, absent bodies counted.

    Args:
        features: (N * M, D, T', V), what `features` of an encoder gives.
        bodies: M.

    Returns:
        (N, D).
    """
    pooled = features.mean(dim=(2, 3))
    return pooled.view(pooled.shape[0] // bodies, bodies, -1).mean(dim=1)
