"""Relational distillation: a student takes over how a teacher's modalities relate a sample to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ikem.kernels.dispatch import times_transposed
from ikem.losses.softmax import (
    check_temperature,
    chunks,
    exponential,
    full_precision,
    mined,
    no_autocast,
    pair_slopes,
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
    """The loss of each student against each modality i of the teacher.

    With n_i = embedding_i . queue_i the logits are [z . teacher, z . teacher_queue, n_i * (z . teacher_queue)] /
    temperature. Positive are the teacher itself and, in both blocks, the `top_k` largest entries of n_i; the loss is
    the mean of -log softmax over those, averaged over the batch.

    Args:
        students: (S, B, A * D), unit vectors z.
        teacher: (B, A * D), unit vectors: the teacher's embeddings, concatenated and normalised; a constant.
        embeddings: (A, B, D), unit vectors: the teacher's embeddings; constants.
        queues: (A, D, K), their queues; constants.
        teacher_queue: (A * D, K), the queue of `teacher`; a constant.
        temperature: 0.025 or more.
        top_k: number of mined positives.
        mining_queue: for each modality the number of the queue that its embeddings are compared with; its own if not
            given.

    Returns:
        (S, A). The gradient reaches `students` only. Memory grows with (S + A) B K.

    Raises:
        ValueError: the temperature is too low for float32.
    """
    check_temperature(temperature)
    students, teacher, embeddings, queues, teacher_queue = full_precision(
        students, teacher.detach(), embeddings.detach(), queues.detach(), teacher_queue.detach()
    )
    with torch.no_grad(), no_autocast(queues.device):
        mapping = list(range(len(queues))) if mining_queue is None else list(mining_queue)
        same = mapping == list(range(len(queues)))
        relations = similarities(embeddings, queues if same else queues[mapping])
    losses: Tensor = _RelationalLosses.apply(students, teacher, relations, teacher_queue, temperature, top_k)  # type: ignore[no-untyped-call]
    return losses


class _RelationalLosses(torch.autograd.Function):
    """Keeps z . teacher_queue (S, B, K) and n (A, B, K), one after the other; products of the two are never kept."""

    @staticmethod
    def forward(
        ctx: Any, students: Tensor, teacher: Tensor, relations: Tensor, queue: Tensor, temperature: float, top_k: int
    ) -> Tensor:
        count, batch, dim = students.shape
        modalities = len(relations)
        pairs = [(student, count + i) for student in range(count) for i in range(modalities)]
        with no_autocast(students.device):
            both_similar = relations.new_empty(count + modalities, *relations.shape[1:])
            both_similar[count:] = relations
            similar = both_similar[:count]
            rows = students.reshape(count * batch, dim)
            for piece in chunks(queue.shape[1], count * batch, queue.device):
                similar[..., piece] = times(rows, queue, piece).view(count, batch, -1)
            positive = (students * teacher).sum(dim=-1)
            choice = mined(relations, top_k)
            alone, both = pair_sums(both_similar, count, pairs, temperature)
            alone += exponential(positive, temperature)
            total = alone.unsqueeze(1) + both.view(count, modalities, batch)
            positives = 1 + 2 * choice.shape[-1]
            own = torch.stack([part.expand_as(relations).gather(2, choice) for part in similar])
            scale = 1 + relations.gather(2, choice)
            chosen = positive.unsqueeze(1) + (own * scale).sum(dim=-1)
            losses = (total.log() - chosen / (positives * temperature)).mean(dim=-1) + 1.0 / temperature
        ctx.save_for_backward(teacher, queue, both_similar, positive, choice, scale, total)
        ctx.temperature, ctx.pairs = temperature, pairs
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        teacher, queue, both_similar, positive, choice, scale, total = ctx.saved_tensors
        temperature: float = ctx.temperature
        count, batch = positive.shape
        dim = len(queue)
        with no_autocast(queue.device):
            each = gradient / batch
            share = each.unsqueeze(-1) / total
            alone = share.sum(dim=1)
            slopes = pair_slopes(both_similar, ctx.pairs, temperature, alone, share.view(-1, batch))
            pull = times_transposed(slopes.view(count * batch, -1), queue).view(count, batch, dim)
            positives = 1 + 2 * choice.shape[-1]
            # (D, A, B, k): the columns that were mined.
            columns = queue.index_select(1, choice.reshape(-1)).view(dim, *choice.shape)
            pull -= torch.einsum("sa,dabk,abk->sbd", each / positives, columns, scale)
            key_weight = exponential(positive, temperature) * alone - each.sum(dim=1, keepdim=True) / positives
            pull += key_weight.unsqueeze(-1) * teacher
        return pull.mul_(1.0 / temperature), None, None, None, None, None
