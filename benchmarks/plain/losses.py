"""The losses by their reference: every logit matrix is stored and differentiated by autograd, as in published code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ikem.kernels.dispatch import backend
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.losses.relational_distillation import relational_losses

__all__ = ["distillation_losses", "exchange_losses", "info_nce"]


def exchange_losses(queries: Tensor, exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float) -> Tensor:
    """Loss (A,) of each modality in stage 2: mean of its mined losses, plus the implicit one.

    Shapes: queries (A, B, D), exchanged (A, B, A * D), keys (A, B, D), queues (A, D, K).
    """
    with backend("reference"):
        pairs = mined_losses(queries, keys, queues, temperature)
        return pairs.sum(dim=1) / (len(queries) - 1) + implicit_losses(exchanged, keys, queues, temperature)


def distillation_losses(
    students: Tensor, embeddings: Tensor, queues: Tensor, teacher_queue: Tensor, temperature: float
) -> Tensor:
    """Loss (S,) of each student.

    Shapes: students (S, B, A * D), embeddings (A, B, D), queues (A, D, K), teacher_queue (A * D, K).
    """
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)
    with backend("reference"):
        return relational_losses(students, teacher, embeddings, queues, teacher_queue, temperature).mean(dim=1)
