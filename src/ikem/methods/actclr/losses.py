"""The loss of ActCLR."""

from __future__ import annotations

from torch import Tensor

from ikem.losses.precision import full_precision


@full_precision
def similarity_distillation(
    features: Tensor,
    key: Tensor,
    queue: Tensor,
    neighbors: int,
    duplicate: float,
    teacher_temperature: float,
    student_temperature: float,
    masked: Tensor | None = None,
) -> Tensor:
    """How far each view is from seeing the neighbors of a clip as its key sees them.

    With n the columns of the queue, t_n = key . n, where t_n above `duplicate` counts as -1, and N the `neighbors`
    columns of largest t_n, the loss is the Kullback-Leibler divergence over N of

        p_n = softmax of t_n / t_teacher   and   q_n = softmax of (feature . n)^2 / t_student,

    sum of p_n (log p_n - log q_n), averaged over the batch. The similarity of the view is squared, so its sign does not
    count. Lin et al. 2023 (ActCLR, arXiv 2303.10904), as the released code has it.

    Args:
        features: (S, B, D), unit vectors of S views.
        key: (B, D), unit vectors; a constant.
        queue: (D, K), unit columns; a constant.
        neighbors: number of neighbors, 1 to K.
        duplicate: similarity above which a column counts as the clip itself.
        teacher_temperature, student_temperature: t_teacher and t_student.
        masked: (B, K) boolean, further columns that count as the clip itself; None: none.

    Returns:
        (S,), float32 at least. The gradient reaches `features` only.
    """
    seen = key.detach() @ queue.detach()
    same = seen > duplicate if masked is None else (seen > duplicate) | masked
    seen, nearest = seen.masked_fill(same, -1).topk(neighbors, dim=-1)
    target = (seen / teacher_temperature).log_softmax(dim=-1)
    similarity = (features @ queue.detach()).square().gather(2, nearest.expand(len(features), -1, -1))
    learnt = (similarity / student_temperature).log_softmax(dim=-1)
    return (target.exp() * (target - learnt)).sum(dim=-1).mean(dim=-1)
