"""Metrics of a classification: what they are called, and how they follow from scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError


@dataclass(frozen=True)
class Metric:
    """A metric that a row of results can have.

    Attributes:
        title: what tables call it.
        unit: "percent" (0 to 100), or "epoch" (counted from 1).
    """

    title: str
    unit: Literal["percent", "epoch"] = "percent"


METRICS: dict[str, Metric] = {
    "top1": Metric("Top-1"),
    "top5": Metric("Top-5"),
    "mean_class_accuracy": Metric("Mean class accuracy"),
    "best_epoch_top1": Metric("Top-1 of the best test epoch"),
    "best_epoch": Metric("Best test epoch", "epoch"),
}
"""Every metric by name, in the order of results.csv."""

CLASSIFICATION = ("top1", "top5", "mean_class_accuracy")
"""Metrics that follow from the scores of any classification, the headline first."""


def classification(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """The metrics of `CLASSIFICATION`, in percent.

    Args:
        scores: (n, K); of equal scores the class of lower number comes first.
        labels: (n,) int64.

    Returns:
        top1, top5: share of clips whose class has the highest score, or one of the five highest; mean_class_accuracy:
        mean over the classes that occur of the share of their clips whose highest score is right.

    Raises:
        InputError: a score is not a finite number.
    """
    if not np.isfinite(scores).all():
        raise InputError("scores are not finite numbers: training has diverged", hint="Lower the learning rate")
    count = len(labels)
    hit = _ranked(scores) == labels[:, None]
    confusion = confusion_matrix(scores, labels)
    occurring = confusion.sum(axis=1)
    present = occurring > 0
    return {
        "top1": 100.0 * float(hit[:, 0].sum()) / count,
        "top5": 100.0 * float(hit[:, :5].sum()) / count,
        "mean_class_accuracy": 100.0 * float((np.diag(confusion)[present] / occurring[present]).mean()),
    }


def confusion_matrix(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, K) int64 counts of clips: rows are true classes, columns predicted ones."""
    confusion = np.zeros((scores.shape[1],) * 2, np.int64)
    np.add.at(confusion, (labels, _ranked(scores)[:, 0]), 1)
    return confusion


def _ranked(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")
