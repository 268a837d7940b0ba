"""Nearest exemplars of each modality, and by the mean similarity of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ikem.evaluations.few_shot.evaluation import FewShot
from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.task import EmbeddingTask, Outcome


def evaluate(task: EmbeddingTask) -> Iterator[Outcome]:
    """Yield each modality, then the fusion, for each number and each draw of exemplars."""
    options = FewShot.model_validate(task.options)
    subsets = [[index] for index in range(len(task.modalities))]
    if len(task.modalities) > 1:
        subsets.append(list(range(len(task.modalities))))
    train, test, train_labels = task.train, task.test, task.train_labels
    names, labels = task.labels.names[task.labels.train], task.labels.labels[task.labels.train]
    for shots, condition in zip(options.shots, options.conditions, strict=True):
        for number in options.exemplar_sets:
            chosen = torch.from_numpy(exemplars(names.tolist(), labels, shots, number)).to(task.embeddings.device)
            for indices in subsets:
                known, of_class = train[indices][:, chosen], train_labels[chosen]
                scores = knn_scores(known, of_class, test[indices], task.classes, options.k)
                streams = [task.modalities[index] for index in indices]
                yield Outcome(streams, scores, train_clips=len(chosen), label_subset=number, condition=condition)
            task.interrupt()


def exemplars(names: Sequence[str], labels: NDArray[np.int64], shots: int, number: int) -> NDArray[np.int64]:
    """The exemplars of each class: a draw that depends on names alone; fewer exemplars are among more.

    Args:
        names: of the n training clips.
        labels: (n,) int64.
        shots: exemplars of a class; all of its clips, if there are fewer.
        number: of the draw.

    Returns:
        ascending indices. A clip's rank in its class is the SHA-256 of "{number}/{name}", as it is in a label subset.
    """
    rank = np.argsort(np.argsort([hashlib.sha256(f"{number}/{name}".encode()).hexdigest() for name in names]))
    chosen = [index for label in np.unique(labels) for index in _first(np.flatnonzero(labels == label), rank, shots)]
    return np.sort(np.asarray(chosen, np.int64))


def _first(indices: NDArray[np.int64], rank: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    first: NDArray[np.int64] = indices[np.argsort(rank[indices])][:count]
    return first
