"""The losses of AimCLR: contrast with mined neighbors, and the divergence between views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ikem.losses.precision import full_precision

Positives = Literal["separate", "together"]

_MASKED = -1e4
"""Logit of a column that is left out: its probability is 0 in float32 and float64, and no product with it is NaN."""


@full_precision
def view_losses(
    features: Tensor,
    key: Tensor,
    queue: Tensor,
    temperature: float,
    targets: Sequence[int],
    top_k: int = 0,
    positives: Positives = "separate",
    masked: Tensor | None = None,
) -> Tensor:
    """The contrast of the first view, and half of the divergence of each further view from its target.

    With p(z) the distribution of `logits`,

        L = contrast(p(z_0)) + 1/2 sum_v divergence(p(z_t(v)), p(z_v)),

    Guo et al. 2022 (AimCLR, arXiv 2112.03590), whose further views both have the first as target; Zhang et al. 2023
    (HiCLR, arXiv 2211.13466), where each has the one before it.

    Args:
        features: (V, B, D), unit vectors of each view.
        key: (B, D), unit vectors; a constant.
        queue: (D, K), unit columns; a constant.
        temperature: of the softmax.
        targets: V - 1 indices: t(1), t(2), ...
        top_k: neighbors in the queue that each view mines as positives of the first one; 0: the key is the only one.
        positives: see `mined_contrast`.
        masked: (B, K) boolean, the columns of the queue that are left out for a clip; None: none.

    Returns:
        a scalar. Gradients reach all features; a target is a constant.
    """
    every = logits(features, key, queue, temperature, masked)
    if top_k:
        mined = every.detach()[..., 1:].topk(top_k, dim=-1).indices  # (V, B, top_k)
        loss = mined_contrast(every[0], mined.transpose(0, 1).flatten(1), positives)
    else:
        loss = (every[0].logsumexp(dim=1) - every[0, :, 0]).mean()
    for view, target in enumerate(targets, start=1):
        loss = loss + divergence(every[target], every[view]) / 2
    return loss


def logits(features: Tensor, key: Tensor, queue: Tensor, temperature: float, masked: Tensor | None = None) -> Tensor:
    """Similarities [z . k, z . queue] / temperature: (..., B, D) to (..., B, 1 + K); see `view_losses`."""
    positive = (features * key.detach()).sum(dim=-1, keepdim=True)
    every = torch.cat([positive, features @ queue.detach()], dim=-1) / temperature
    if masked is not None:
        every = every.masked_fill(torch.cat([masked.new_zeros(len(masked), 1), masked], dim=1), _MASKED)
    return every


def mined_contrast(every: Tensor, mined: Tensor, positives: Positives = "separate") -> Tensor:
    """Contrast with several positives: the key and the mined neighbors, each counted once.

    With P the set of positives, the loss of a clip is

        -1/|P| sum_(j in P) log p_j     ("separate", as the published code of AimCLR and HiCLR has it) or
        -log sum_(j in P) p_j           ("together", Guo et al. 2022, arXiv 2112.03590, loss of NNM).

    Args:
        every: (B, 1 + K) logits, the key's first.
        mined: (B, P) columns of the queue, of which some may be the same.
        positives: which of the two.

    Returns:
        a scalar, the mean over the batch.
    """
    chosen = torch.cat([torch.zeros_like(mined[:, :1]), 1 + mined], dim=1)
    repeated = (chosen.unsqueeze(2) == chosen.unsqueeze(1)).tril(-1).any(dim=2)
    found = every.gather(1, chosen)
    counted = ~repeated & (found > _MASKED)  # a column that is left out is no positive
    log_probability = found - every.logsumexp(dim=1, keepdim=True)
    if positives == "together":
        return -log_probability.masked_fill(~counted, -torch.inf).logsumexp(dim=1).mean()
    return -((log_probability * counted).sum(dim=1) / counted.sum(dim=1)).mean()


def divergence(target: Tensor, every: Tensor) -> Tensor:
    """Cross-entropy -sum_j p_j(target) log p_j(every) between the distributions of two views.

    Guo et al. 2022 (AimCLR, arXiv 2112.03590), distributional divergence minimization; Zhang et al. 2023 (HiCLR,
    arXiv 2211.13466). For a constant target it differs from the Kullback-Leibler divergence by a constant.

    Args:
        target: (B, 1 + K) logits; a constant.
        every: (B, 1 + K) logits.

    Returns:
        a scalar, the mean over the batch.
    """
    expected = (target.detach().softmax(dim=1) * every).sum(dim=1)
    return (every.logsumexp(dim=1) - expected).mean()
