"""The losses by which modalities exchange what they know: explicitly, through mined positives, and implicitly."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.contrast.infonce import info_nce
from ikem.contrast.kernels import check_temperature, chunks, exponential, full_precision, mined, no_autocast


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
    """Keeps the similarities n (A, B, K) and computes the products n_a * n_b, which are those of (b, a) too, twice:
    once for the softmax's sum and once for its gradient. No array of a pair outlives its chunk of the queue."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int) -> Tensor:
        count, batch, _ = queries.shape
        with no_autocast(queries.device):
            similar = torch.bmm(queries, queues)
            positive = (queries * keys).sum(dim=-1)
            choice = mined(similar, top_k)
            alone = exponential(positive, temperature)
            pairs = similar.new_zeros(count, count, batch)
            for piece in chunks(similar.shape[2], count * batch, similar.device):
                part = similar[..., piece]
                alone += exponential(part, temperature).sum(dim=-1)
                for a in range(count - 1):
                    product = part[a] * part[a + 1 :]
                    pairs[a, a + 1 :] += exponential(product, temperature, out=product).sum(dim=-1)
            total = alone.unsqueeze(1) + pairs + pairs.transpose(0, 1)
            positives = 1 + 2 * top_k
            # [a, b, sample, rank]: what a and b themselves say of the entries that b chose.
            own = torch.stack([similar[a].expand(count, -1, -1).gather(2, choice) for a in range(count)])
            theirs = similar.gather(2, choice)
            chosen = positive.unsqueeze(1) + (own * (1 + theirs)).sum(dim=-1)
            losses = (total.log() - chosen / (positives * temperature)).mean(dim=-1) + 1.0 / temperature
            losses.fill_diagonal_(0)
        ctx.save_for_backward(keys, queues, similar, positive, choice, own, theirs, total)
        ctx.temperature = temperature
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
            alone, both = share.sum(dim=1), share + share.transpose(0, 1)
            pull = torch.zeros_like(keys)
            for piece in chunks(similar.shape[2], count * batch, similar.device):
                part = similar[..., piece]
                slope = exponential(part, temperature).mul_(alone.unsqueeze(-1))
                for a in range(count - 1):
                    product = part[a] * part[a + 1 :]
                    weight = exponential(product, temperature, out=product).mul_(both[a, a + 1 :].unsqueeze(-1))
                    slope[a + 1 :].addcmul_(weight, part[a])
                    slope[a] += weight.mul_(part[a + 1 :]).sum(dim=0)
                pull.baddbmm_(slope, queues[..., piece].transpose(1, 2))
            # The mined entries, one column of the queue each.
            positives = 1 + 2 * choice.shape[-1]
            weight = (each / positives).view(count, count, 1, 1)
            for b in range(count):
                for a in range(count):
                    if a != b:
                        pull[a] -= _pick(queues[a], choice[b], weight[a, b] * (1 + theirs[b]))
                        pull[b] -= _pick(queues[b], choice[b], weight[a, b] * own[a, b])
            key_weight = exponential(positive, temperature) * alone - each.sum(dim=1, keepdim=True) / positives
            pull += key_weight.unsqueeze(-1) * keys
        return pull.mul_(1.0 / temperature), None, None, None, None


def _pick(queue: Tensor, choice: Tensor, weight: Tensor) -> Tensor:
    """Sum over ranks of `weight` (B, k) times the columns `choice` (B, k) of `queue` (D, K): (B, D)."""
    columns = queue.index_select(1, choice.reshape(-1)).view(-1, *choice.shape)
    return (columns * weight).sum(dim=-1).t()
