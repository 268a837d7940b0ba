"""Nearest neighbors of each modality, and by the mean similarity of all."""

from __future__ import annotations

from collections.abc import Iterator

from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.task import EmbeddingTask, Outcome


def evaluate(task: EmbeddingTask) -> Iterator[Outcome]:
    """Yield each modality, then the fusion."""
    subsets = [[index] for index in range(len(task.modalities))]
    if len(task.modalities) > 1:
        subsets.append(list(range(len(task.modalities))))
    for indices in subsets:
        scores = knn_scores(task.train[indices], task.train_labels, task.test[indices], task.classes, task.options["k"])
        yield Outcome([task.modalities[index] for index in indices], scores)
        task.interrupt()
