"""Linear evaluation of all modalities of a method, and of their fusion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.evaluations.task import EmbeddingTask, Outcome


def evaluate(task: EmbeddingTask) -> Iterator[Outcome]:
    """Train the classifiers together; yield each modality, then the fusion (the mean of jointly trained logits)."""
    result = linear_evaluation(
        task.train,
        task.train_labels,
        task.test,
        task.test_labels,
        task.classes,
        task.options["schedule"],
        task.seed,
        lambda epoch: task.interrupt(),
    )
    for index, modality in enumerate(task.modalities):
        yield Outcome([modality], result.single[index], _best(result.history[:, index]))
    if result.fused is not None:
        yield Outcome(task.modalities, result.fused, _best(result.history[:, -1]))


def _best(history: NDArray[np.float64]) -> dict[str, float]:
    best = int(np.argmax(history))
    return {"best_epoch_top1": float(history[best]), "best_epoch": best + 1}
