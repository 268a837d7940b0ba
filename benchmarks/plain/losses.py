"""The exchange and distillation losses with every logit matrix stored, differentiated by autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of [query . key, query . queue] against the first."""
    positive = torch.einsum("nc,nc->n", query, key).unsqueeze(-1)
    logits = torch.cat([positive, torch.einsum("nc,ck->nk", query, queue)], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def mined_loss(positive: Tensor, own: Tensor, other: Tensor, mining: Tensor, temperature: float, top_k: int) -> Tensor:
    """Mean of -log softmax over the positives of one pair; `mining` (B, K) chooses them."""
    logits = torch.cat([positive, own, own * other], dim=1) / temperature
    chosen = torch.topk(mining, top_k, dim=1).indices
    block = torch.zeros_like(own).scatter_(1, chosen, 1.0)
    mask = torch.cat([torch.ones_like(positive), block, block], dim=1)
    log_probability = F.log_softmax(logits, dim=1)
    return -((log_probability * mask).sum(dim=1) / mask.sum(dim=1)).mean()


def exchange_losses(
    queries: Tensor, exchanged: Tensor, keys: Tensor, queues: Tensor, temperature: float, top_k: int = 1
) -> Tensor:
    """Loss (A,) of each modality in stage 2: mean of its mined losses, plus the implicit one.

    Shapes: queries (A, B, D), exchanged (A, B, A * D), keys (A, B, D), queues (A, D, K).
    """
    count = len(queries)
    positive = [torch.einsum("nc,nc->n", queries[a], keys[a]).unsqueeze(-1) for a in range(count)]
    similar = [torch.einsum("nc,ck->nk", queries[a], queues[a]) for a in range(count)]
    joined_key = F.normalize(torch.cat(list(keys), dim=1), dim=1)
    joined_queue = F.normalize(torch.cat(list(queues), dim=0), dim=0)
    losses = []
    for a in range(count):
        pairs = [
            mined_loss(positive[a], similar[a], similar[b], similar[b], temperature, top_k)
            for b in range(count)
            if b != a
        ]
        losses.append(sum(pairs) / (count - 1) + info_nce(exchanged[a], joined_key, joined_queue, temperature))
    return torch.stack(losses)


def distillation_losses(
    students: Tensor,
    embeddings: Tensor,
    queues: Tensor,
    teacher_queue: Tensor,
    temperature: float,
    top_k: int = 1,
    mining_queue: Sequence[int] | None = None,
) -> Tensor:
    """Loss (S,) of each student; arguments as there, the teacher is joined from `embeddings`."""
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)
    mapping = range(len(embeddings)) if mining_queue is None else mining_queue
    relations = [
        torch.einsum("nc,ck->nk", embedding, queues[m]) for embedding, m in zip(embeddings, mapping, strict=True)
    ]
    losses = []
    for student in students:
        positive = torch.einsum("nc,nc->n", student, teacher).unsqueeze(-1)
        similar = torch.einsum("nc,ck->nk", student, teacher_queue)
        pairs = [mined_loss(positive, similar, relation, relation, temperature, top_k) for relation in relations]
        losses.append(sum(pairs) / len(pairs))
    return torch.stack(losses)
