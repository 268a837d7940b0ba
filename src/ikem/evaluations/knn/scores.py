"""Retrieval: the classes of the nearest training clips by cosine similarity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def knn_scores(
    train: Tensor, train_labels: Tensor, test: Tensor, classes: int, k: int, chunk: int = 1024
) -> NDArray[np.float64]:
    """Score classes by the votes of the k nearest training clips.

    Args:
        train, test: (modalities, n, width); of several modalities the mean of their cosine similarities counts.
        train_labels: (n,) int64.
        classes: K.
        k: neighbors that vote; all, if there are fewer training clips.
        chunk: test clips compared at a time.

    Returns:
        (n_test, K): votes, plus, less than one vote, how near the nearest clip of the class is; so ties go to the
        nearer class, and classes without a vote are ranked too.
    """
    keys = functional.normalize(train.float(), dim=2)
    queries = functional.normalize(test.float(), dim=2)
    modalities, count = keys.shape[:2]
    scores = []
    for part in torch.split(queries, chunk, dim=1):
        similarity = torch.einsum("mqd,mkd->qk", part, keys) / modalities
        nearest = similarity.topk(min(k, count), dim=1).indices
        votes = functional.one_hot(train_labels[nearest], classes).sum(dim=1)
        best = torch.full((part.shape[1], classes), -1.0, device=part.device)
        best.scatter_reduce_(1, train_labels.expand(part.shape[1], -1), similarity, "amax")
        scores.append(votes.double() + (best.double().clamp(-1, 1) + 1) / 2.5)
    return torch.cat(scores).cpu().numpy()
