"""What every evaluation writes: rows of the long table, and the confusion matrix of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikem.data.splits import read_split
from ikem.data.store import load_samples
from ikem.evaluations.metrics import figures
from ikem.files import atomic, write_json
from ikem.report.results import MODALITIES


@dataclass(frozen=True)
class Labelled:
    """The labels of a split.

    Attributes:
        train, test: (n,) int64 numbers of clips.
        labels: (N,) int64 of all clips.
        classes: K.
        complete: whether the data are the published number of clips.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: int
    complete: bool


def read_labelled(position: Path, split: Path) -> Labelled:
    """Read the labels beside prepared/position.npy and a split of them."""
    labels = load_samples(position.with_name("samples.csv"))["label"].to_numpy(np.int64).copy()
    parts = read_split(split)
    train, test = (np.asarray(parts[name], np.int64) for name in ("train", "test"))
    return Labelled(train, test, labels, int(labels.max()) + 1, bool(parts["complete"]))


def streams(modalities: Sequence[str]) -> str:
    """Modalities joined by "+" in the published order."""
    return "+".join(name for name in MODALITIES if name in modalities)


class Rows:
    """Collects the rows and confusion matrices of one evaluation job."""

    def __init__(self, names: Mapping[str, Any], labelled: Labelled) -> None:
        """Start empty; `names` are the keys that all rows share (dataset, protocol, method, seed, ...)."""
        self._names, self._labelled = dict(names), labelled
        self._rows: list[dict[str, Any]] = []
        self._confusions: dict[str, dict[str, NDArray[np.int64]]] = {}

    def add(
        self,
        evaluation: str,
        modalities: Sequence[str],
        scores: NDArray[np.floating],
        train_clips: int,
        history: NDArray[np.float64] | None = None,
    ) -> float:
        """Judge test scores (n_test, K); `history` is the top-1 of each epoch. Returns the top-1."""
        judged = figures(scores, self._labelled.labels[self._labelled.test])
        name = streams(modalities)
        best = None if history is None else int(np.argmax(history))
        self._rows.append(
            {
                **self._names,
                "evaluation": evaluation,
                "streams": name,
                "draw": self._names.get("draw"),
                "top1": judged.top1,
                "top5": judged.top5,
                "mean_class": judged.mean_class,
                "best_top1": None if best is None or history is None else float(history[best]),
                "best_epoch": None if best is None else best + 1,
                "train_clips": train_clips,
                "test_clips": len(self._labelled.test),
                "classes": self._labelled.classes,
                "complete": self._labelled.complete,
            }
        )
        self._confusions.setdefault(evaluation, {})[name] = judged.confusion
        return judged.top1

    def write(self, output: Path) -> list[Path]:
        """Write the rows, and beside them the confusion matrices of each evaluation by streams; returns those files."""
        beside = []
        for evaluation, matrices in self._confusions.items():
            beside.append(confusion_path(output, evaluation))
            with atomic(beside[-1]) as temporary, open(temporary, "wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **matrices)
        write_json(output, {"rows": self._rows})
        return beside


def confusion_path(output: Path, evaluation: str) -> Path:
    """Where the confusion matrices of an evaluation lie."""
    return output.with_name(f"{output.stem}.{evaluation}.confusion.npz")
