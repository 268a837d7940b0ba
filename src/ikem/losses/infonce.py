"""InfoNCE: a query against its key and a queue of other keys."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ikem.kernels.dispatch import times_transposed
from ikem.losses.softmax import (
    check_temperature,
    chunks,
    exponential,
    full_precision,
    masses,
    no_autocast,
    times,
)
from ikem.training.parallel_apply import at_once

_TINY = 1e-12
_PARTS = 8  # of a queue, at most, that are summed by themselves, whatever the number of threads


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float, normalise_queue: bool = False) -> Tensor:
    """-log softmax of query . key among [query . key, query . queue] / temperature, averaged over the batch.

    Args:
        query: (..., B, D), unit vectors; several sets of queries may share keys and queue.
        key: (B, D), unit vectors; a constant.
        queue: (D, K), columns are unit vectors, or are made so; a constant.
        temperature: 0.025 or more.
        normalise_queue: whether to divide each column by its length.

    Returns:
        (...): the loss of each set of queries. The gradient reaches `query` only.

    Raises:
        ValueError: the temperature is too low for float32.
    """
    check_temperature(temperature)
    query, key, queue = full_precision(query, key.detach(), queue.detach())
    loss: Tensor = _InfoNCE.apply(query.reshape(-1, *key.shape), key, queue, temperature, normalise_queue)  # type: ignore[no-untyped-call]
    return loss.view(query.shape[:-2])


class _InfoNCE(torch.autograd.Function):
    """The softmax is linear in what the backward pass needs, so one pass over the queue serves both directions."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, queue: Tensor, temperature: float, normalise: bool) -> Tensor:
        sets, batch, dim = query.shape
        rows = query.reshape(sets * batch, dim)
        with no_autocast(query.device):
            positive = (query * key).sum(dim=-1).view(-1)
            weight = exponential(positive, temperature)
            total = weight.clone()
            needed = ctx.needs_input_grad[0]
            pull = (weight.view(sets, batch, 1) * key).view(sets * batch, dim) if needed else None

            def part(pieces: list[slice]) -> tuple[Tensor, Tensor | None]:
                sums, pulled = torch.zeros_like(total), None if pull is None else torch.zeros_like(pull)
                for piece in pieces:
                    squares = queue.new_empty(piece.stop - piece.start) if normalise else None
                    product = times(rows, queue, piece, squares)
                    length = None if squares is None else squares.sqrt_().clamp_min_(_TINY)
                    mass = masses(product, length, temperature, sums)
                    if pulled is not None:
                        pulled += times_transposed(mass, queue[:, piece])
                return sums, pulled

            pieces = list(chunks(queue.shape[1], len(rows), queue.device))
            cuts = [len(pieces) * number // _PARTS for number in range(_PARTS + 1)]
            parts = [pieces[first:last] for first, last in pairwise(cuts) if last > first]
            for sums, pulled in at_once(part, parts, queue.device):
                total += sums
                if pull is not None and pulled is not None:
                    pull += pulled
            loss = (total.log() - positive / temperature).view(sets, batch).mean(dim=1) + 1.0 / temperature
            if pull is not None:
                pull = (pull / total.unsqueeze(1)).view(sets, batch, dim) - key
                ctx.save_for_backward(pull.mul_(1.0 / (batch * temperature)))
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (pull,) = ctx.saved_tensors
        return gradient.view(-1, 1, 1) * pull, None, None, None, None
