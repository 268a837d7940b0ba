"""The loss of a region of a mixed clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.losses.precision import full_precision


@full_precision
def region_loss(
    region: Tensor, key: Tensor, queue: Tensor, other: Tensor, temperature: float, masked: Tensor | None = None
) -> Tensor:
    """InfoNCE of a region of a clip, with the other region of the same clip as one more negative.

    With z the region's feature, k the key of the clip that the region shows, o the other region's feature and
    n_1 ... n_K the queue,

        loss = -log( exp(z . k / t) / (exp(z . k / t) + exp(z . o / t) + sum_j exp(z . n_j / t)) ),

    averaged over the batch. Chen et al. 2022 (SkeleMixCLR, arXiv 2207.03065).

    Args:
        region: (B, D), unit vectors.
        key: (B, D), unit vectors; a constant.
        queue: (D, K), unit columns; a constant.
        other: (B, D), unit vectors; a constant.
        temperature: t.
        masked: (B, K) boolean, the columns of the queue that are left out; None: none.

    Returns:
        a scalar, float32 at least. The gradient reaches `region` only.
    """
    negative = region @ queue.detach()
    if masked is not None:
        negative = negative.masked_fill(masked, -torch.inf)
    alone = [(region * constant.detach()).sum(dim=1, keepdim=True) for constant in (key, other)]
    logits = torch.cat([*alone, negative], dim=1) / temperature
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()
