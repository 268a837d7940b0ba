"""Relational distillation with its own backward pass; see `ikem.losses.relational_distillation`.

z . teacher_queue (S, B, K) and n (A, B, K) are kept, one after the other; products of the two never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
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
    times,
)


def relational_losses(
    students: Tensor,
    teacher: Tensor,
    embeddings: Tensor,
    queues: Tensor,
    teacher_queue: Tensor,
    temperature: float,
    top_k: int = 1,
    mining_queue: Sequence[int] | None = None,
) -> Tensor:
    """`ikem.losses.relational_distillation.relational_losses` of unit vectors at a temperature of 0.025 or more.

    Memory grows with (S + A) B K.

    Raises:
        ValueError: the temperature is below 0.025.
    """
    check_temperature(temperature)
    with torch.no_grad():
        if mining_queue is not None and list(mining_queue) != list(range(len(queues))):
            queues = queues[list(mining_queue)]
        relations = similarities(embeddings, queues)
    constants = teacher.detach(), relations, teacher_queue.detach()
    losses: Tensor = _RelationalLosses.apply(students, *constants, temperature, top_k)  # type: ignore[no-untyped-call]
    return losses


class _RelationalLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, students: Tensor, teacher: Tensor, relations: Tensor, queue: Tensor, temperature: float, top_k: int
    ) -> Tensor:
        count, batch, dim = students.shape
        modalities = len(relations)
        pairs = [(student, count + i) for student in range(count) for i in range(modalities)]
        similar_and_relations = relations.new_empty(count + modalities, *relations.shape[1:])
        similar_and_relations[count:] = relations
        similar = similar_and_relations[:count]
        rows = students.reshape(count * batch, dim)
        for chunk in chunks(queue.shape[1], count * batch):
            similar[..., chunk] = times(rows, queue, chunk).view(count, batch, -1)
        positive = (students * teacher).sum(dim=-1)
        mined = mine(relations, top_k)
        sums, sums_of_pairs = pair_sums(similar_and_relations, count, pairs, temperature)
        sums += exponential(positive, temperature)
        total = sums.unsqueeze(1) + sums_of_pairs.view(count, modalities, batch)
        positives = 1 + 2 * mined.shape[-1]
        similarity_own = torch.stack([part.expand_as(relations).gather(2, mined) for part in similar])
        factor = 1 + relations.gather(2, mined)
        chosen = positive.unsqueeze(1) + (similarity_own * factor).sum(dim=-1)
        losses = (total.log() - chosen / (positives * temperature)).mean(dim=-1) + 1.0 / temperature
        ctx.save_for_backward(teacher, queue, similar_and_relations, positive, mined, factor, total)
        ctx.temperature, ctx.pairs = temperature, pairs
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        teacher, queue, similar_and_relations, positive, mined, factor, total = ctx.saved_tensors
        temperature: float = ctx.temperature
        count, batch = positive.shape
        dim = len(queue)
        grad_loss = gradient / batch  # of each sample
        weights = grad_loss.unsqueeze(-1) / total
        weight_sums = weights.sum(dim=1)
        grad_similar = pair_gradients(
            similar_and_relations, ctx.pairs, temperature, weight_sums, weights.view(-1, batch)
        )
        grad_students = times_transposed(grad_similar.view(count * batch, -1), queue).view(count, batch, dim)
        positives = 1 + 2 * mined.shape[-1]
        columns = queue.index_select(1, mined.reshape(-1)).view(
            dim, *mined.shape
        )  # (D, A, B, k): those that were mined
        grad_students -= torch.einsum("sa,dabk,abk->sbd", grad_loss / positives, columns, factor)
        key_weight = exponential(positive, temperature) * weight_sums - grad_loss.sum(dim=1, keepdim=True) / positives
        grad_students += key_weight.unsqueeze(-1) * teacher
        return grad_students.mul_(1.0 / temperature), None, None, None, None, None
