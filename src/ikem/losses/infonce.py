"""InfoNCE: a query against its key and a queue of other keys."""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.losses.precision import full_precision


@full_precision
def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float, masked: Tensor | None = None) -> Tensor:
    """Contrast each query with its key among a queue of other keys.

    With q a query, k its key and n_1 ... n_K the queue,

        loss = -log( exp(q . k / t) / (exp(q . k / t) + sum_j exp(q . n_j / t)) ),

    averaged over the batch: van den Oord et al. 2018 (arXiv 1807.03748, equation 4) in the form of He et al. 2020, MoCo
    (arXiv 1911.05722, equation 1); stage 1 of Li et al. 2021 (SkeletonCLR, arXiv 2104.14466) and of Wei et al. 2024
    (arXiv 2309.12009).

    Args:
        query: (..., B, D), unit vectors; several sets of queries may share keys and queue.
        key: (B, D), unit vectors; a constant.
        queue: (D, K), unit columns; a constant.
        temperature: t.
        masked: (B, K) boolean, the columns of the queue that are no negatives of a query; None: all are.

    Returns:
        (...): the loss of each set of queries, float32 at least. The gradient reaches `query` only.
    """
    positive = (query * key.detach()).sum(dim=-1, keepdim=True)
    negative = query @ queue.detach()
    if masked is not None:
        negative = negative.masked_fill(masked, -torch.inf)
    logits = torch.cat([positive, negative], dim=-1) / temperature
    return (logits.logsumexp(dim=-1) - logits[..., 0]).mean(dim=-1)
