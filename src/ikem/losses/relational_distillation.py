"""Relational distillation: a student learns how the modalities of a teacher relate a clip to the queue."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ikem.kernels.dispatch import replaceable
from ikem.losses.cross_modal import contrast_with_mined
from ikem.losses.precision import full_precision


@full_precision
@replaceable("relational_losses")
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

    With n_i = embedding_i . queue_i the relation of a clip to the queue in modality i of the teacher, and z a student,
    it is `ikem.losses.cross_modal.contrast_with_mined` of own = z . teacher_queue and other = n_i, where i mines the
    `top_k` largest entries of n_i. Relational cross-modality knowledge distillation of Wei et al. 2024 (arXiv
    2309.12009).

    Args:
        students: (S, B, A * D), unit vectors z.
        teacher: (B, A * D), unit vectors: the teacher's embeddings, concatenated and normalized; a constant.
        embeddings: (A, B, D), unit vectors: the teacher's embeddings; constants.
        queues: (A, D, K), unit columns: their queues; constants.
        teacher_queue: (A * D, K), unit columns: the queue of `teacher`; a constant.
        temperature: 0.025 or more for the kernel, which raises ValueError below it.
        top_k: number of positives that a modality mines, 1 to K.
        mining_queue: for each modality the index of the queue that its embeddings are compared with; None: its own.

    Returns:
        (S, A). The gradient reaches `students` only. Memory grows with S A B K.
    """
    compared = queues if mining_queue is None else torch.stack([queues[number] for number in mining_queue])
    relations = (embeddings @ compared).detach()
    mined = relations.topk(top_k, dim=-1).indices
    rows = []
    for z in students:
        positive = (z * teacher.detach()).sum(dim=-1, keepdim=True)
        similarity = z @ teacher_queue.detach()
        pairs = [
            contrast_with_mined(positive, similarity, *parts, temperature)
            for parts in zip(relations, mined, strict=True)
        ]
        rows.append(torch.stack(pairs))
    return torch.stack(rows)
