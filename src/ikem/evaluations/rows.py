"""What every evaluation writes: rows of the table of results, and the scores and the confusion matrix of each."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ikem.data.splits import read_split
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.evaluations.metrics import classification, confusion_matrix
from ikem.evaluations.scores import row_key, write_scores
from ikem.files import atomic, write_json
from ikem.modalities import MODALITIES

if TYPE_CHECKING:
    from ikem.evaluations.task import Outcome

logger = logging.getLogger("ikem")


@dataclass(frozen=True)
class Labels:
    """The labels of a split.

    Attributes:
        train, test: (n,) int64 numbers of clips.
        names: of all N clips.
        labels: (N,) int64 of all clips: the column of their class in scores, -1 if it is not tested.
        columns: (K,) int64, the label of each column of scores; all labels unless an evaluation is of some classes.
        complete: whether the clips are the published number of them.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    names: NDArray[np.object_]
    labels: NDArray[np.int64]
    columns: NDArray[np.int64]
    complete: bool

    @property
    def classes(self) -> int:
        """K."""
        return len(self.columns)


def read_labels(
    position: Path, split: Path, classes: Sequence[int] | None = None, pretraining: Collection[str] = ()
) -> Labels:
    """Read the labels next to prepared/position.npy and a split of them.

    Args:
        classes: labels that are tested, in the order of the columns of scores; None: all.
        pretraining: names of clips that the encoders were pretrained on, where that was on another split: they are not
            tested.

    Raises:
        InputError: a file is damaged, no clip of these classes, or none that is new, is left, or a complete split has
            no clip of one of them.
    """
    samples = load_samples(position.with_name("samples.csv"))
    names, labels = samples["name"].to_numpy(object), samples["label"].to_numpy(np.int64)
    parts = read_split(split)
    train, test = (np.asarray(parts[name], np.int64) for name in ("train", "test"))
    columns = np.arange(int(labels.max()) + 1) if classes is None else np.asarray(classes, np.int64)
    column = np.full(max(int(labels.max()), int(columns.max())) + 1, -1)
    column[columns] = np.arange(len(columns))
    labels = column[labels]
    train, test = train[labels[train] >= 0], test[labels[test] >= 0]
    new = np.array([name not in pretraining for name in names[test]], bool)
    for fault, found in (
        ("no clip of the classes that are tested trains", len(train)),
        ("no clip of the classes that are tested tests", len(test)),
        ("pretraining has seen every clip that tests", new.any()),
    ):
        if not found:
            raise InputError(fault, location=str(split), hint="Choose other classes or another split")
    if classes is not None:
        _require_all(columns, [labels[train], labels[test]], split, bool(parts["complete"]))
    if not new.all():
        logger.warning("%d of %d test clips are left out: pretraining has seen them", (~new).sum(), len(new))
    return Labels(train, test[new], names, labels, columns, bool(parts["complete"]) and bool(new.all()))


def _require_all(classes: NDArray[np.int64], columns: Sequence[NDArray[np.int64]], split: Path, complete: bool) -> None:
    """With fewer classes than asked for, accuracies are higher; of a split that lacks clips that is marked anyway."""
    counts = [np.bincount(part, minlength=len(classes)) for part in columns]
    absent = [int(label) for label, *of_parts in zip(classes, *counts, strict=True) if not all(of_parts)]
    if absent and complete:
        raise InputError(
            f"no clip of class {', '.join(map(str, absent))} trains, or none tests",
            location=str(split),
            hint="Labels are counted from 0; choose other classes or another split",
        )
    if absent:
        logger.warning("classes without a training or a test clip: %s", ", ".join(map(str, absent)))


def streams(modalities: Sequence[str]) -> str:
    """Modalities joined by "+" in the published order."""
    return "+".join(name for name in MODALITIES if name in modalities)


class Rows:
    """Collects the rows, scores and confusion matrices of one evaluation job."""

    def __init__(self, names: Mapping[str, Any], labels: Labels) -> None:
        """Start empty; `names` are the keys that all rows share: dataset, protocol, method, seed, evaluation."""
        self._names, self._labels = dict(names), labels
        self._rows: list[dict[str, Any]] = []
        self._scores: dict[str, NDArray[np.floating]] = {}
        self._confusions: dict[str, NDArray[np.int64]] = {}

    def add(self, outcome: Outcome) -> dict[str, Any]:
        """Compute the metrics of an outcome from its scores, which are kept; returns its row."""
        scores = outcome.scores
        labels = self._labels.labels[self._labels.test]
        name, subset = streams(outcome.modalities), outcome.label_subset
        self._rows.append(
            {
                **self._names,
                "streams": name,
                "label_subset": subset,
                "condition": outcome.condition,
                "metrics": classification(scores, labels) | dict(outcome.metrics),
                "train_clips": len(self._labels.train) if outcome.train_clips is None else outcome.train_clips,
                "test_clips": len(labels),
                "classes": self._labels.classes,
                "complete": self._labels.complete,
            }
        )
        key = row_key(name, subset, outcome.condition)
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


def kept_path(output: Path, part: str) -> Path:
    """The file of a part that an evaluation `keeps`, given the file that its job ends with."""
    return output.with_name(f"{output.stem}.{part}")


def confusion_path(output: Path) -> Path:
    """The file of the confusion matrices of an evaluation job."""
    return output.with_name(f"{output.stem}.confusion.npz")
