"""The loss of CMD by which modalities learn from one another."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from ikem.losses.precision import full_precision


@full_precision
def mutual_distillation(
    queries: Tensor,
    keys: Tensor,
    queues: Tensor,
    neighbors: int,
    teacher_temperature: float,
    student_temperature: float,
    masked: Tensor | None = None,
) -> Tensor:
    """How far each modality is from seeing the neighbors of a clip as each other modality sees them.

    For a teacher a and a student b, let N be the `neighbors` columns n of the teacher's queue that are nearest to its
    key k_a. The loss is the Kullback-Leibler divergence, summed over N and averaged over the batch, of

        p_a(n) = softmax over N of k_a . n_a / t_teacher   and   p_b(n) = softmax over N of q_b . n_b / t_student,

    where n_a and n_b are the same column of both queues: sum of p_a (log p_a - log p_b). Mao et al. 2022 (CMD, arXiv
    2208.12448, section 3.2).

    Args:
        queries: (A, B, D), unit vectors q of the students.
        keys: (A, B, D), unit vectors k of the teachers; constants.
        queues: (A, D, K), unit columns; constants. Column j of all queues belongs to the same clip.
        neighbors: number of neighbors, 1 to K.
        teacher_temperature, student_temperature: t_teacher and t_student.
        masked: (B, K) boolean, the columns of the queues that are left out for a clip, which must keep one at least;
            None: none.

    Returns:
        (A, A), float32 at least: row teacher, column student; zero where they are the same. The gradient reaches
        `queries` only.
    """
    seen, similarity = keys.detach() @ queues.detach(), queries @ queues.detach()
    if masked is not None:
        seen, similarity = (each.masked_fill(masked, -torch.inf) for each in (seen, similarity))
    seen, nearest = seen.topk(neighbors, dim=-1)
    target = (seen / teacher_temperature).log_softmax(dim=-1)
    losses = queries.new_zeros(len(queries), len(queries))
    for teacher, student in permutations(range(len(queries)), 2):
        learnt = (similarity[student].gather(1, nearest[teacher]) / student_temperature).log_softmax(dim=-1)
        divergence = target[teacher].exp() * (target[teacher] - learnt)
        if masked is not None:  # where fewer than `neighbors` are left
            divergence = divergence.masked_fill(seen[teacher].isinf(), 0)
        losses[teacher, student] = divergence.sum(dim=-1).mean()
    return losses
