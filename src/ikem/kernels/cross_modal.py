"""The exchange losses with their own backward passes; see `ikem.losses.cross_modal` for what they replace."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.kernels.product import times_transposed
from ikem.kernels.softmax import (
    check_temperature,
    chunks,
    exponential,
    mine,
    pair_gradients,
    pair_sums,
    similarities,
    softmax_weights,
    times,
)
from ikem.parallel_apply import parallel_map

_TINY = 1e-12
_REDUCTION_CHUNKS = 8  # of a queue, at most, each summed by itself, whatever the number of threads


def mined_losses(queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int = 1) -> Tensor:
    """`ikem.losses.cross_modal.mined_losses` of unit vectors at a temperature of 0.025 or more (ValueError below it).

    Memory grows with A B K.
    """
    check_temperature(temperature)
    losses: Tensor = _MinedLosses.apply(queries, keys.detach(), queues.detach(), temperature, top_k)  # type: ignore[no-untyped-call]
    return losses


class _MinedLosses(torch.autograd.Function):
    """The similarities n (A, B, K) are kept. The products n_a * n_b, which are those of (b, a) too, are computed twice,
    once for the sum of the softmax and once for its gradient, and never kept."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int) -> Tensor:
        count = len(queries)
        pairs = list(combinations(range(count), 2))
        similar = similarities(queries, queues)
        positive = (queries * keys).sum(dim=-1)
        mined = mine(similar, top_k)
        sums, sums_of_pairs = pair_sums(similar, count, pairs, temperature)
        first, second = torch.triu_indices(count, count, 1)  # in the order of `pairs`
        products = sums.new_zeros(count, count, sums.shape[1])
        products[first, second] = products[second, first] = sums_of_pairs
        total = (sums + exponential(positive, temperature)).unsqueeze(1) + products
        positives = 1 + 2 * mined.shape[-1]
        # [a, b, sample, rank]: the similarities of a and of b themselves to the entries that b mined.
        similarity_own = torch.stack([part.expand_as(similar).gather(2, mined) for part in similar])
        similarity_other = similar.gather(2, mined)
        chosen = positive.unsqueeze(1) + (similarity_own * (1 + similarity_other)).sum(dim=-1)
        losses = (total.log() - chosen / (positives * temperature)).mean(dim=-1) + 1.0 / temperature
        losses.fill_diagonal_(0)
        ctx.save_for_backward(keys, queues, similar, positive, mined, similarity_own, similarity_other, total)
        ctx.temperature, ctx.pairs = temperature, pairs
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        keys, queues, similar, positive, mined, similarity_own, similarity_other, total = ctx.saved_tensors
        temperature: float = ctx.temperature
        count, batch, _ = similar.shape
        grad_loss = gradient.masked_fill(torch.eye(count, dtype=torch.bool), 0) / batch  # of each sample
        weights = grad_loss.unsqueeze(-1) / total
        first, second = torch.triu_indices(count, count, 1)
        weights_of_pairs = weights[first, second] + weights[second, first]
        grad_similar = pair_gradients(similar, ctx.pairs, temperature, weights.sum(dim=1), weights_of_pairs)
        factors = list(zip(grad_similar, queues, strict=True))
        grad_queries = torch.stack(parallel_map(lambda part: times_transposed(*part), factors, similar.device))
        # The mined entries, one column of the queue each: [a, d, b, sample, rank].
        columns = queues.index_select(2, mined.reshape(-1)).view(count, -1, *mined.shape)
        positives = 1 + 2 * mined.shape[-1]
        grad_positives = (grad_loss / positives).view(count, count, 1, 1)
        grad_mined = grad_positives * (1 + similarity_other)
        grad_mined.diagonal(dim1=0, dim2=1).copy_((grad_positives * similarity_own).sum(dim=0).permute(1, 2, 0))
        grad_queries -= torch.einsum("adbnk,abnk->and", columns, grad_mined)
        key_weight = exponential(positive, temperature) * weights.sum(dim=1)
        key_weight -= grad_loss.sum(dim=1, keepdim=True) / positives
        grad_queries += key_weight.unsqueeze(-1) * keys
        return grad_queries.mul_(1.0 / temperature), None, None, None, None


def implicit_losses(exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float) -> Tensor:
    """`ikem.losses.cross_modal.implicit_losses` at a temperature of 0.025 or more (ValueError below it)."""
    check_temperature(temperature)
    count, batch, dim = keys.shape
    key = F.normalize(keys.detach().transpose(0, 1).reshape(batch, count * dim), dim=1)
    queue = queues.detach().reshape(count * dim, -1)
    losses: Tensor = _ImplicitLosses.apply(exchanged, key, queue, temperature)  # type: ignore[no-untyped-call]
    return losses


class _ImplicitLosses(torch.autograd.Function):
    """The gradient is a mean of the columns of the joint queue, weighted by the softmax. Its numerator and denominator
    are sums over the queue, so one pass over chunks of the queue gives both, and the lengths of its columns; no (B, K)
    matrix is kept."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
        count, batch, dim = query.shape
        rows = query.reshape(count * batch, dim)
        positive = (query * key).sum(dim=-1).view(-1)
        weight = exponential(positive, temperature)
        total = weight.clone()
        grad_query = (weight.view(count, batch, 1) * key).view(count * batch, dim)

        def reduce(part: list[slice]) -> tuple[Tensor, Tensor]:
            sums, grad_sums = torch.zeros_like(total), torch.zeros_like(grad_query)
            for chunk in part:
                squares = queue.new_empty(chunk.stop - chunk.start)
                product = times(rows, queue, chunk, squares)
                weights = softmax_weights(product, squares.sqrt_().clamp_min_(_TINY), temperature, sums)
                grad_sums += times_transposed(weights, queue[:, chunk])
            return sums, grad_sums

        parts = list(chunks(queue.shape[1], len(rows)))
        bounds = [len(parts) * index // _REDUCTION_CHUNKS for index in range(_REDUCTION_CHUNKS + 1)]
        groups = [parts[first:last] for first, last in pairwise(bounds) if last > first]
        for sums, grad_sums in parallel_map(reduce, groups, queue.device):
            total += sums
            grad_query += grad_sums
        losses = (total.log() - positive / temperature).view(count, batch).mean(dim=1) + 1.0 / temperature
        grad_query = (grad_query / total.unsqueeze(1)).view(count, batch, dim) - key
        ctx.save_for_backward(grad_query.mul_(1.0 / (batch * temperature)))
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (grad_query,) = ctx.saved_tensors
        return gradient.view(-1, 1, 1) * grad_query, None, None, None
