"""The losses by which modalities exchange what they know: explicitly, through mined positives, and implicitly."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.kernels.dispatch import times_transposed
from ikem.losses.infonce import info_nce
from ikem.losses.softmax import (
    check_temperature,
    exponential,
    full_precision,
    mined,
    no_autocast,
    pair_slopes,
    pair_sums,
    similarities,
)
from ikem.training.parallel_apply import at_once


def mined_losses(queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int = 1) -> Tensor:
    """The loss of each ordered pair of modalities (a, b): a's contrast with the positives that b mines.

    With n_a = q_a . queue_a the logits are [q_a . k_a, n_a, n_a * n_b] / temperature. Positive are the key and, in both
    blocks, the `top_k` largest entries of n_b; the loss is the mean of -log softmax over those, averaged over the
    batch.

    Args:
        queries: (A, B, D), unit vectors.
        keys: (A, B, D), unit vectors; constants.
        queues: (A, D, K), unit columns; constants.
        temperature: 0.025 or more.
        top_k: number of positives that b mines.

    Returns:
        (A, A): row a, column b; zero where a = b. Gradients flow to the queries of both modalities of a pair. Memory
        grows with A B K.

    Raises:
        ValueError: the temperature is too low for float32.
    """
    check_temperature(temperature)
    queries, keys, queues = full_precision(queries, keys.detach(), queues.detach())
    losses: Tensor = _MinedLosses.apply(queries, keys, queues, temperature, top_k)  # type: ignore[no-untyped-call]
    return losses


def implicit_losses(exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float) -> Tensor:
    """InfoNCE of what a modality's exchange head gives against the concatenated keys of all modalities.

    Args:
        exchanged: (A, B, A * D), unit vectors.
        keys: (A, B, D); constants.
        queues: (A, D, K); constants. Their concatenation is normalised again, as is that of the keys.
        temperature: 0.025 or more.

    Returns:
        (A,): the loss of each modality.

    Raises:
        ValueError: the temperature is too low for float32.
    """
    count, batch, dim = keys.shape
    key = F.normalize(keys.transpose(0, 1).reshape(batch, count * dim), dim=1)
    return info_nce(exchanged, key, queues.reshape(count * dim, -1), temperature, normalise_queue=True)


class _MinedLosses(torch.autograd.Function):
    """Keeps the similarities n (A, B, K). The products n_a * n_b, which are those of (b, a) too, are made twice, once
    for the softmax's sum and once for its gradient, and never kept."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int) -> Tensor:
        count = len(queries)
        pairs = list(itertools.combinations(range(count), 2))
        with no_autocast(queries.device):
            similar = similarities(queries, queues)
            positive = (queries * keys).sum(dim=-1)
            choice = mined(similar, top_k)
            alone, both = pair_sums(similar, count, pairs, temperature)
            # In the order of `pairs`; made on the device, so that nothing waits for a copy.
            first, second = torch.triu_indices(count, count, 1, device=queries.device)
            product = both.new_zeros(count, count, both.shape[1])
            product[first, second] = product[second, first] = both
            total = (alone + exponential(positive, temperature)).unsqueeze(1) + product
            positives = 1 + 2 * choice.shape[-1]
            # [a, b, sample, rank]: what a and b themselves say of the entries that b chose.
            own = torch.stack([part.expand_as(similar).gather(2, choice) for part in similar])
            theirs = similar.gather(2, choice)
            chosen = positive.unsqueeze(1) + (own * (1 + theirs)).sum(dim=-1)
            losses = (total.log() - chosen / (positives * temperature)).mean(dim=-1) + 1.0 / temperature
            losses.fill_diagonal_(0)
        ctx.save_for_backward(keys, queues, similar, positive, choice, own, theirs, total)
        ctx.temperature, ctx.pairs = temperature, pairs
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        keys, queues, similar, positive, choice, own, theirs, total = ctx.saved_tensors
        temperature: float = ctx.temperature
        count, batch, _ = similar.shape
        with no_autocast(similar.device):
            each = gradient.masked_fill(torch.eye(count, dtype=torch.bool, device=gradient.device), 0) / batch
            share = each.unsqueeze(-1) / total
            alone = share.sum(dim=1)
            first, second = torch.triu_indices(count, count, 1, device=gradient.device)
            both = share[first, second] + share[second, first]
            slopes = pair_slopes(similar, ctx.pairs, temperature, alone, both)
            parts = list(zip(slopes, queues, strict=True))
            pull = torch.stack(at_once(lambda part: times_transposed(*part), parts, slopes.device))
            # The mined entries, one column of the queue each: [a, d, b, sample, rank].
            columns = queues.index_select(2, choice.reshape(-1)).view(count, -1, *choice.shape)
            positives = 1 + 2 * choice.shape[-1]
            weight = (each / positives).view(count, count, 1, 1)
            pulled = weight * (1 + theirs)
            pulled.diagonal(dim1=0, dim2=1).copy_((weight * own).sum(dim=0).permute(1, 2, 0))
            pull -= torch.einsum("adbnk,abnk->and", columns, pulled)
            key_weight = exponential(positive, temperature) * alone - each.sum(dim=1, keepdim=True) / positives
            pull += key_weight.unsqueeze(-1) * keys
        return pull.mul_(1.0 / temperature), None, None, None, None
