"""The losses by which modalities exchange knowledge: explicitly, by mined positives, and implicitly."""

from __future__ import annotations

from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.kernels.dispatch import replaceable
from ikem.losses.infonce import info_nce
from ikem.losses.precision import full_precision


@full_precision
@replaceable("mined_losses")
def mined_losses(
    queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int = 1, masked: Tensor | None = None
) -> Tensor:
    """The loss of each ordered pair of modalities (a, b): a's contrast with the positives that b mines.

    With n_a = q_a . queue_a, the similarities of a query of a to the queue of a, it is `contrast_with_mined` of
    own = n_a and other = n_b, where b mines the `top_k` largest entries of n_b. Cross-view consistent knowledge mining
    of Li et al. 2021 (CrosSCLR, arXiv 2104.14466), as Wei et al. 2024 (arXiv 2309.12009) use it.

    Args:
        queries: (A, B, D), unit vectors.
        keys: (A, B, D), unit vectors; constants.
        queues: (A, D, K), unit columns; constants. Column j of all queues belongs to the same clip.
        temperature: 0.025 or more for the kernel, which raises ValueError below it.
        top_k: number of positives that b mines, 1 to K.
        masked: (B, K) boolean, the columns of the queues that are left out for a query; None: none. Each query must
            keep at least `top_k`. There is no kernel for it.

    Returns:
        (A, A): row a, column b; zero where a = b. Gradients reach the queries of both modalities of a pair. Memory
        grows with A^2 B K.
    """
    positive = (queries * keys.detach()).sum(dim=-1, keepdim=True)
    similarity = queries @ queues.detach()
    allowed = similarity if masked is None else similarity.masked_fill(masked, -torch.inf)
    mined = allowed.topk(top_k, dim=-1).indices
    losses = queries.new_zeros(len(queries), len(queries))
    for a, b in permutations(range(len(queries)), 2):
        losses[a, b] = contrast_with_mined(positive[a], similarity[a], similarity[b], mined[b], temperature, masked)
    return losses


def contrast_with_mined(
    positive: Tensor, own: Tensor, other: Tensor, mined: Tensor, temperature: float, masked: Tensor | None = None
) -> Tensor:
    """Contrast with several positives, weighted by what another modality finds similar.

    The logits are [positive, own, own * other] / temperature. Positive are the first and, in both blocks, those at the
    indices `mined`; the loss is the mean of -log softmax over the positives, averaged over the batch.

    Args:
        positive: (B, 1) similarity of each query to its key.
        own: (B, K) similarities of each query to the queue.
        other: (B, K) similarities of the same clip in another modality to the queue of that modality.
        mined: (B, k) indices into the queue.
        temperature: of the softmax.
        masked: (B, K) boolean, the columns that are left out of both blocks; None: none.

    Returns:
        a scalar.
    """
    logits = torch.cat([positive, own, own * other], dim=1) / temperature
    if masked is not None:
        logits = logits.masked_fill(torch.cat([masked.new_zeros(len(own), 1), masked, masked], dim=1), -torch.inf)
    chosen = torch.cat([torch.zeros_like(mined[:, :1]), 1 + mined, 1 + own.shape[1] + mined], dim=1)
    return (logits.logsumexp(dim=1, keepdim=True) - logits.gather(1, chosen)).mean()


@full_precision
@replaceable("implicit_losses")
def implicit_losses(
    exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float, masked: Tensor | None = None
) -> Tensor:
    """InfoNCE of what the exchange head of a modality gives against the joint keys of all modalities.

    A joint key is the concatenation of a clip's keys of all modalities, divided by its length; the joint queue is that
    of the queues. The implicit knowledge exchange module of Wei et al. 2024 (arXiv 2309.12009); for the loss see
    `ikem.losses.infonce.info_nce`.

    Args:
        exchanged: (A, B, A * D), unit vectors.
        keys: (A, B, D), unit vectors; constants.
        queues: (A, D, K), unit columns; constants.
        temperature: 0.025 or more for the kernel, which raises ValueError below it.
        masked: (B, K) boolean, the columns of the queues that are left out for a query; None: none. There is no kernel
            for it.

    Returns:
        (A,): the loss of each modality. The gradient reaches `exchanged` only.
    """
    joint_key = F.normalize(torch.cat(list(keys), dim=1), dim=1)
    joint_queue = F.normalize(torch.cat(list(queues), dim=0), dim=0)
    return info_nce(exchanged, joint_key, joint_queue, temperature, masked)
