"""Linear evaluation of all modalities of a method, and of their fusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikem.evaluations.linear.classifiers import LinearResult, linear_evaluation
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.evaluations.task import EmbeddingTask, Outcome
from ikem.training.checkpoint import save_tensors


def evaluate(task: EmbeddingTask) -> Iterator[Outcome]:
    """Train the classifiers together; yield each modality, then the fusion (the mean of jointly trained logits)."""
    result = train_classifiers(task, task.options["schedule"])
    save_tensors(task.keep[CLASSIFIERS], result.classifiers, {"modalities": list(task.modalities)})
    yield from outcomes(task, result)


def train_classifiers(task: EmbeddingTask, schedule: Mapping[str, Any]) -> LinearResult:
    """Linear evaluation of a task by a schedule (settings of a job)."""
    return linear_evaluation(
        task.train,
        task.train_labels,
        task.test,
        task.test_labels,
        task.classes,
        schedule,
        task.seed,
        lambda epoch: task.interrupt(),
    )


def outcomes(task: EmbeddingTask, result: LinearResult, condition: str = "") -> Iterator[Outcome]:
    """Each modality, then the fusion."""
    for index, modality in enumerate(task.modalities):
        yield Outcome([modality], result.single[index], _best(result.history[:, index]), condition=condition)
    if result.fused is not None:
        yield Outcome(task.modalities, result.fused, _best(result.history[:, -1]), condition=condition)


def _best(history: NDArray[np.float64]) -> dict[str, float]:
    best = int(np.argmax(history))
    return {"best_epoch_top1": float(history[best]), "best_epoch": best + 1}
