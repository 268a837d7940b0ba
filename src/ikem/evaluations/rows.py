"""What every evaluation writes: rows of the table of results, and the scores and the confusion matrix of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ikem.data.splits import read_split
from ikem.data.store import load_samples
from ikem.evaluations.metrics import classification, confusion_matrix
from ikem.evaluations.scores import kept, row_key, write_scores
from ikem.files import atomic, write_json
from ikem.modalities import MODALITIES

if TYPE_CHECKING:
    from ikem.evaluations.task import Outcome


@dataclass(frozen=True)
class Labels:
    """The labels of a split.

    Attributes:
        train, test: (n,) int64 numbers of clips.
        names: of all N clips.
        labels: (N,) int64 of all clips.
        classes: K.
        complete: whether the data are the published number of clips.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    names: NDArray[np.object_]
    labels: NDArray[np.int64]
    classes: int
    complete: bool


def read_labels(position: Path, split: Path) -> Labels:
    """Read the labels next to prepared/position.npy and a split of them."""
    samples = load_samples(position.with_name("samples.csv"))
    labels = samples["label"].to_numpy(np.int64).copy()
    parts = read_split(split)
    train, test = (np.asarray(parts[name], np.int64) for name in ("train", "test"))
    return Labels(train, test, samples["name"].to_numpy(object), labels, int(labels.max()) + 1, bool(parts["complete"]))


def streams(modalities: Sequence[str]) -> str:
    """Modalities joined by "+" in the published order."""
    return "+".join(name for name in MODALITIES if name in modalities)


class Rows:
    """Collects the rows, scores and confusion matrices of one evaluation job."""

    def __init__(self, names: Mapping[str, Any], labels: Labels) -> None:
        """Start empty; `names` are the keys that all rows share: dataset, protocol, method, seed, evaluation."""
        self._names, self._labels = dict(names), labels
        self._rows: list[dict[str, Any]] = []
        self._scores: dict[str, NDArray[np.float16]] = {}
        self._confusions: dict[str, NDArray[np.int64]] = {}

    def add(self, outcome: Outcome) -> dict[str, Any]:
        """Compute the metrics of an outcome from its scores as they are kept; returns its row."""
        scores = kept(outcome.scores)
        labels = self._labels.labels[self._labels.test]
        name, subset = streams(outcome.modalities), outcome.label_subset
        self._rows.append(
            {
                **self._names,
                "streams": name,
                "label_subset": subset,
                "metrics": classification(scores, labels) | dict(outcome.metrics),
                "train_clips": len(self._labels.train) if outcome.train_clips is None else outcome.train_clips,
                "test_clips": len(labels),
                "classes": self._labels.classes,
                "complete": self._labels.complete,
            }
        )
        key = row_key(name, subset)
        self._scores[key] = scores
        self._confusions[key] = confusion_matrix(scores, labels)
        return self._rows[-1]

    def write(self, output: Path) -> list[Path]:
        """Write the rows, and next to them scores and confusion matrices by `row_key`; returns these files."""
        path = confusion_path(output)
        with atomic(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **self._confusions)
        names = [str(name) for name in self._labels.names[self._labels.test]]
        scores = write_scores(output, names, self._labels, self._scores)
        write_json(output, {"rows": self._rows})
        return [path, scores]


def confusion_path(output: Path) -> Path:
    """The file of the confusion matrices of an evaluation job."""
    return output.with_name(f"{output.stem}.confusion.npz")
