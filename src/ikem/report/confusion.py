"""Confusion matrices as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ikem.errors import InputError
from ikem.report.labels import Naming, streams_title
from ikem.report.results import Confusion, clean, read_confusion
from ikem.report.style import GREY, INK, Drawn, save

_NAMED = 60
_COUNTED = 20
_COLOURS = seaborn.color_palette("blend:#ffffff,#0173b2,#04263d", as_cmap=True)


@dataclass(frozen=True)
class ConfusionFile:
    """The confusion matrices that an evaluation of one seed wrote.

    Attributes:
        path: its `.npz` file.
        dataset, protocol, method, evaluation: entries of the config.
        streams: which matrix; null: the one of the most modalities.
    """

    path: Path
    dataset: str
    protocol: str
    method: str
    evaluation: str
    streams: str | None = None


def draw_confusions(files: Sequence[ConfusionFile], folder: Path, naming: Naming) -> list[Drawn]:
    """A figure for each method, split and evaluation; files that differ in path alone are seeds, and are summed."""
    groups: dict[tuple[str, str, str, str, str | None], list[Path]] = {}
    for file in files:
        key = (file.dataset, file.protocol, file.method, file.evaluation, file.streams)
        groups.setdefault(key, []).append(file.path)
    drawn = []
    for (dataset, protocol, method, evaluation, streams), paths in groups.items():
        matrices = [read_confusion(path, streams) for path in sorted(paths)]
        for path, matrix in zip(sorted(paths), matrices, strict=True):
            if matrix.shape != matrices[0].shape:
                raise InputError("has another number of classes than the other seeds", location=str(path))
        names = naming.classes.get(dataset, ())
        which = f" ({streams_title(streams)})" if streams else ""
        title = f"{naming.method(method)}{which}, {naming.evaluation(evaluation)}, {naming.split(dataset, protocol)}"
        stem = f"confusion/{evaluation}/{dataset}/{protocol}/{method}" + (f"/{streams}" if streams else "")
        total: Confusion = np.sum(matrices, axis=0, dtype=np.int64)
        labels = class_labels(names, len(total))
        draw_confusion(total, labels, title, folder, stem)
        drawn.append(Drawn(f"{stem}.png", "confusion", title, _caption(total, labels, len(matrices))))
    return drawn


def draw_confusion(matrix: Confusion, labels: Sequence[str], title: str, folder: Path, stem: str) -> None:
    """Draw one matrix: the share of each true class's clips (row) that went to each predicted class (column).

    Args:
        matrix: (K, K) counts.
        labels: the K class names.
        title: heading.
        folder: where figures go.
        stem: file in it, without suffix.
    """
    classes = len(matrix)
    sums = matrix.sum(1, keepdims=True)
    shares = np.divide(100.0 * matrix, sums, out=np.full(matrix.shape, np.nan), where=sums > 0)
    named, counted = classes <= _NAMED, classes <= _COUNTED
    side = min(13.5, max(3.6, 0.42 * classes if counted else 0.21 * classes))
    figure = Figure(figsize=(side + 1.2, side))
    axes = figure.add_subplot()
    axes.set_facecolor("#dddddd")
    image = axes.imshow(shares, cmap=_COLOURS, norm=PowerNorm(1 if counted else 0.5, 0, 100))
    if counted:
        for row, column in np.argwhere(matrix > 0):
            share = shares[row, column]
            text = f"{share:.0f}" if share >= 0.5 else "<1"
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color="white" if share > 45 else INK)
    ticks = range(classes) if named else range(9, classes, 10)
    names = [_short(labels[tick]) if named else str(tick + 1) for tick in ticks]
    size = 8.5 if counted else 6.5 if named else 8
    axes.set_xticks(ticks, names, rotation=90 if named else 0, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.tick_params(length=0 if named else 3)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("Predicted class" if named else "Predicted class, by number")
    axes.set_ylabel("True class" if named else "True class, by number")
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, label="Share of the true class's clips, %")
    bar.outline.set_edgecolor(GREY)  # type: ignore[operator]
    save(figure, folder, stem)


def class_labels(names: Sequence[str], classes: int) -> list[str]:
    """Names of K classes; a class without one is its number, from 1."""
    return [clean(names[label]) if label < len(names) else str(label + 1) for label in range(classes)]


def most_confused(matrix: Confusion, labels: Sequence[str], count: int = 5) -> list[str]:
    """The `count` largest mistakes, as `true → predicted (n of m clips)`."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [
        f"{labels[true]} → {labels[predicted]} ({wrong[true, predicted]} of {matrix[true].sum()} clips)"
        for true, predicted in pairs
        if wrong[true, predicted]
    ]


def _caption(matrix: Confusion, labels: Sequence[str], seeds: int) -> str:
    runs = "One run" if seeds == 1 else f"Sum of {seeds} runs"
    pairs = "; ".join(most_confused(matrix, labels))
    return f"{runs}, {matrix.sum()} predictions. " + (f"Most often confused: {pairs}." if pairs else "None is wrong.")


def _short(label: str, length: int = 28) -> str:
    return label if len(label) <= length else label[: length - 1].rstrip() + "…"
