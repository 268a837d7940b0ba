"""Figures of a classification, in percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError


@dataclass(frozen=True)
class Figures:
    """What is kept of a classification.

    Attributes:
        top1, top5: share of clips whose class has the highest score, or one of the five highest, in percent.
        mean_class: mean over the classes that occur of the share of their clips that is right, in percent.
        confusion: (K, K) int64, rows true classes, columns predicted ones.
    """

    top1: float
    top5: float
    mean_class: float
    confusion: NDArray[np.int64]


def figures(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> Figures:
    """Judge scores (n, K) against labels (n,); of equal scores the class of lower number comes first.

    Raises:
        InputError: a score is not a finite number.
    """
    if not np.isfinite(scores).all():
        raise InputError("scores are not finite numbers: training has diverged", hint="Lower the learning rate")
    count, classes = scores.shape
    ranked = np.argsort(-scores, axis=1, kind="stable")
    hit = ranked == labels[:, None]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, ranked[:, 0]), 1)
    occurring = confusion.sum(axis=1)
    present = occurring > 0
    per_class = np.diag(confusion)[present] / occurring[present]
    return Figures(
        top1=100.0 * float(hit[:, 0].sum()) / count,
        top5=100.0 * float(hit[:, :5].sum()) / count,
        mean_class=100.0 * float(per_class.mean()),
        confusion=confusion,
    )
