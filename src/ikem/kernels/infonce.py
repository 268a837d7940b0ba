"""InfoNCE with its own backward pass; see `ikem.losses.infonce` and `ikem.losses.cross_modal` for what it replaces.

The gradient of the loss is a mean of queue columns, weighted by the softmax. Its numerator and its denominator are sums
over the queue, so one pass over chunks of the queue gives both, and no (B, K) matrix is kept.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.kernels.product import times_transposed
from ikem.kernels.softmax import check_temperature, chunks, exponential, softmax_weights, times
from ikem.training.parallel_apply import at_once

_TINY = 1e-12
_REDUCTION_CHUNKS = 8  # of a queue, at most, each summed by itself, whatever the number of threads


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """`ikem.losses.infonce.info_nce` of unit vectors at a temperature of 0.025 or more (ValueError below it)."""
    return _info_nce(query, key.detach(), queue.detach(), temperature, normalize_queue=False)


def implicit_losses(exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float) -> Tensor:
    """`ikem.losses.cross_modal.implicit_losses`; the lengths of joint columns are found on the way."""
    count, batch, dim = keys.shape
    key = F.normalize(keys.detach().transpose(0, 1).reshape(batch, count * dim), dim=1)
    return _info_nce(exchanged, key, queues.detach().reshape(count * dim, -1), temperature, normalize_queue=True)


def _info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float, normalize_queue: bool) -> Tensor:
    check_temperature(temperature)
    loss: Tensor = _InfoNCE.apply(query.reshape(-1, *key.shape), key, queue, temperature, normalize_queue)  # type: ignore[no-untyped-call]
    return loss.view(query.shape[:-2])


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, queue: Tensor, temperature: float, normalize: bool) -> Tensor:
        sets, batch, dim = query.shape
        rows = query.reshape(sets * batch, dim)
        positive = (query * key).sum(dim=-1).view(-1)
        weight = exponential(positive, temperature)
        total = weight.clone()
        needed = ctx.needs_input_grad[0]
        grad_query = (weight.view(sets, batch, 1) * key).view(sets * batch, dim) if needed else None

        def reduce(part: list[slice]) -> tuple[Tensor, Tensor | None]:
            sums, grad_sums = torch.zeros_like(total), None if grad_query is None else torch.zeros_like(grad_query)
            for chunk in part:
                squares = queue.new_empty(chunk.stop - chunk.start) if normalize else None
                product = times(rows, queue, chunk, squares)
                length = None if squares is None else squares.sqrt_().clamp_min_(_TINY)
                weights = softmax_weights(product, length, temperature, sums)
                if grad_sums is not None:
                    grad_sums += times_transposed(weights, queue[:, chunk])
            return sums, grad_sums

        parts = list(chunks(queue.shape[1], len(rows)))
        bounds = [len(parts) * index // _REDUCTION_CHUNKS for index in range(_REDUCTION_CHUNKS + 1)]
        groups = [parts[first:last] for first, last in pairwise(bounds) if last > first]
        for sums, grad_sums in at_once(reduce, groups, queue.device):
            total += sums
            if grad_query is not None and grad_sums is not None:
                grad_query += grad_sums
        loss = (total.log() - positive / temperature).view(sets, batch).mean(dim=1) + 1.0 / temperature
        if grad_query is not None:
            grad_query = (grad_query / total.unsqueeze(1)).view(sets, batch, dim) - key
            ctx.save_for_backward(grad_query.mul_(1.0 / (batch * temperature)))
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (grad_query,) = ctx.saved_tensors
        return gradient.view(-1, 1, 1) * grad_query, None, None, None, None
