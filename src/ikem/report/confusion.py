"""Confusion matrices as figures, and what follows from them for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ikem.errors import InputError
from ikem.report.labels import Naming, streams_title
from ikem.report.results import Confusion, clean, read_confusion, streams_of, widest_streams
from ikem.report.style import COLUMN, INK, PAGE, SHADES, Drawn, heading, save

_NAMED = 60
_COUNTED = 20
_GAINS = 30


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
        total = _sum(matrices)
        labels = class_labels(names, len(total))
        draw_confusion(total, labels, title, folder, stem)
        drawn.append(Drawn(f"{stem}.png", "confusion", title, _caption(total, labels, len(matrices))))
    return drawn


def draw_gains(files: Sequence[ConfusionFile], folder: Path, naming: Naming) -> list[Drawn]:
    """A figure for each pretrained method: accuracy of each class minus that of the first baseline with its encoder, of
    the widest streams that both have.
    """
    groups: dict[tuple[str, str, str], dict[str, list[Path]]] = {}
    for file in files:
        key = (file.evaluation, file.dataset, file.protocol)
        groups.setdefault(key, {}).setdefault(file.method, []).append(file.path)
    drawn = []
    for (evaluation, dataset, protocol), methods in groups.items():
        for method, paths in methods.items():
            encoder = naming.encoders.get(method)
            alike = [name for name in naming.baselines if name in methods and naming.encoders.get(name) == encoder]
            baseline = alike[0] if alike else ""
            base = methods.get(baseline, [])
            if not base or method == baseline or method in naming.unranked:
                continue
            common = streams_of(paths[0]) & streams_of(base[0])
            if not common:
                continue
            streams = widest_streams(common)
            ours, theirs = (recall(_sum([read_confusion(path, streams) for path in each])) for each in (paths, base))
            labels = class_labels(naming.classes.get(dataset, ()), len(ours))
            pair = f"{naming.method(method)} over {naming.method(baseline)}"
            if any(streams != widest_streams(streams_of(each[0])) for each in (paths, base)):
                pair += f", {streams_title(streams)} only"
            title = f"{pair}, {naming.split(dataset, protocol)}"
            stem = f"gains/{evaluation}/{dataset}/{protocol}/{method}"
            shown = _draw_gains(ours - theirs, labels, title, folder, stem)
            caption = f"{naming.evaluation(evaluation)}, {streams_title(streams)}: accuracy of a class minus baseline."
            if shown < len(labels):
                caption += f" The {shown} of {len(labels)} classes with the largest gains and losses."
            drawn.append(Drawn(f"{stem}.png", "gains", f"Gain by class: {title}", caption))
    return drawn


def recall(matrix: Confusion) -> NDArray[np.float64]:
    """(K,) percent: share of each class's clips that are right; not a number for a class without clips."""
    sums = matrix.sum(axis=1)
    shares: NDArray[np.float64] = np.full(len(matrix), np.nan)
    np.divide(100.0 * np.diag(matrix), sums, out=shares, where=sums > 0)
    return shares


def _draw_gains(gains: NDArray[np.float64], labels: Sequence[str], title: str, folder: Path, stem: str) -> int:
    """Draw the gains, largest first; returns how many classes are shown."""
    order = [int(position) for position in np.argsort(-gains, kind="stable") if np.isfinite(gains[position])]
    if len(order) > _GAINS:
        order = order[: _GAINS // 2] + order[-_GAINS // 2 :]
    names, values = [_short(labels[position]) for position in order], gains[order]
    figure = Figure(figsize=(COLUMN, 0.13 * len(order) + 0.75))
    axes = figure.add_subplot()
    colors = ["#0173b2" if value >= 0 else "#d55e00" for value in values]
    seaborn.barplot(x=values, y=names, hue=names, palette=colors, legend=False, ax=axes, width=0.75, errorbar=None)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_xlabel("Gain, points")
    axes.set_ylabel("")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    heading(figure, title)
    save(figure, folder, stem)
    return len(order)


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
    width = COLUMN if counted and classes <= 12 else PAGE
    figure = Figure(figsize=(width, width * 0.95 if width == PAGE else min(COLUMN, 0.22 * classes + 1.5)))
    axes = figure.add_subplot()
    axes.set_facecolor("#dddddd")
    ticks = range(classes) if named else range(9, classes, 10)
    names = [_short(labels[tick]) if named else str(tick + 1) for tick in ticks]
    texts = [[_share(share) if count else "" for share, count in zip(*pair, strict=True)]
             for pair in zip(shares, matrix, strict=True)]  # fmt: skip
    seaborn.heatmap(
        shares, cmap=SHADES, norm=PowerNorm(1 if counted else 0.5, 0, 100), ax=axes, annot=texts if counted else None,
        fmt="", annot_kws={"fontsize": 6 if classes <= 12 else 5.5},
        cbar_kws={"label": "Share of the true class's clips, %", "shrink": 0.8},
    )  # fmt: skip
    size = 6.5 if counted else 5 if named else 7
    axes.set_xticks([tick + 0.5 for tick in ticks], names, rotation=90 if named else 0, fontsize=size)
    axes.set_yticks([tick + 0.5 for tick in ticks], names, rotation=0, fontsize=size)
    axes.tick_params(length=0 if named else 2.5)
    axes.grid(visible=False)
    axes.set_xlabel("Predicted class" if named else "Predicted class, by number")
    axes.set_ylabel("True class" if named else "True class, by number")
    heading(figure, title)
    save(figure, folder, stem)


def class_labels(names: Sequence[str], classes: int) -> list[str]:
    """Names of K classes; a class without one is its number, from 1."""
    return [clean(names[label]) if label < len(names) else str(label + 1) for label in range(classes)]


def most_confused(matrix: Confusion, labels: Sequence[str], count: int = 5) -> list[str]:
    """The `count` largest mistakes, as `true → predicted (n of m clips)`."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [divmod(int(position), len(matrix)) for position in order]
    return [
        f"{labels[true]} → {labels[predicted]} ({wrong[true, predicted]} of {matrix[true].sum()} clips)"
        for true, predicted in pairs
        if wrong[true, predicted]
    ]


def _sum(matrices: Sequence[Confusion]) -> Confusion:
    total: Confusion = np.sum(matrices, axis=0, dtype=np.int64)
    return total


def _caption(matrix: Confusion, labels: Sequence[str], seeds: int) -> str:
    runs = "One run" if seeds == 1 else f"Sum of {seeds} runs"
    pairs = "; ".join(most_confused(matrix, labels))
    return f"{runs}, {matrix.sum()} predictions. " + (f"Most often confused: {pairs}." if pairs else "None is wrong.")


def _short(label: str, length: int = 26) -> str:
    return label if len(label) <= length else label[: length - 1].rstrip() + "…"


def _share(share: float) -> str:
    return f"{share:.0f}" if share >= 0.5 else "<1"
