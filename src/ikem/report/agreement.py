"""How far modalities make the same errors: where they do, their fusion cannot help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ikem.evaluations.scores import read_scores
from ikem.report.confusion import ConfusionFile
from ikem.report.labels import Naming, streams_title
from ikem.report.results import MODALITIES
from ikem.report.style import COLUMN, SHADES, Drawn, heading, save


def draw_agreement(files: Sequence[ConfusionFile], folder: Path, naming: Naming) -> list[Drawn]:
    """A figure for each method of three modalities or more whose evaluations kept the scores of single clips."""
    groups: dict[tuple[str, str, str, str], list[dict[str, NDArray[np.bool_]]]] = {}
    for file in files:
        scores = file.path.with_name(f"{file.path.name.removesuffix('.confusion.npz')}.scores.safetensors")
        if scores.exists():
            key = (file.evaluation, file.dataset, file.protocol, file.method)
            groups.setdefault(key, []).append(read_errors(scores))
    drawn = []
    for (evaluation, dataset, protocol, method), seeds in groups.items():
        modalities = [name for name in MODALITIES if all(name in errors for errors in seeds)]
        if len(modalities) < 3:  # of two it would be one number
            continue
        shared = np.mean([shared_errors(errors, modalities) for errors in seeds], axis=0)
        title = f"{naming.method(method)}, {naming.split(dataset, protocol)}"
        stem = f"agreement/{evaluation}/{dataset}/{protocol}/{method}"
        _draw(shared, modalities, f"Shared errors: {title}", folder, stem)
        caption = (
            f"{naming.evaluation(evaluation)}. Of the test clips that at least one of two modalities gets wrong, the "
            "share that both get wrong, percent. Less means that the two complement each other."
        )
        drawn.append(Drawn(f"{stem}.png", "agreement", f"Shared errors: {title}", caption))
    return drawn


def shared_errors(errors: Mapping[str, NDArray[np.bool_]], names: Sequence[str]) -> NDArray[np.float64]:
    """(names, names) percent: Jaccard index of the error sets of each pair; not a number where neither errs."""
    wrong = np.stack([errors[name] for name in names]).astype(np.int64)  # (names, clips)
    both = wrong @ wrong.T
    either = wrong.sum(1)[:, None] + wrong.sum(1)[None, :] - both
    shares: NDArray[np.float64] = np.full(both.shape, np.nan)
    np.divide(100.0 * both, either, out=shares, where=either > 0)
    return shares


def read_errors(path: Path) -> dict[str, NDArray[np.bool_]]:
    """For each stream which test clips it gets wrong, from the scores that an evaluation kept.

    Args:
        path: see `ikem.evaluations.scores`.

    Raises:
        InputError: it is damaged, or holds something else.
    """
    found = read_scores(path)
    return {name: each.argmax(axis=1) != found.labels for name, each in found.scores.items()}


def _draw(shared: NDArray[np.float64], names: Sequence[str], title: str, folder: Path, stem: str) -> None:
    titles = [streams_title(name) for name in names]
    figure = Figure(figsize=(COLUMN, 0.34 * len(names) + 1.25))
    axes = figure.add_subplot()
    hidden = np.triu(np.ones(shared.shape, bool))
    seaborn.heatmap(
        shared, mask=hidden, annot=True, fmt=".0f", cmap=SHADES, vmin=0, vmax=100, square=False, ax=axes,
        linewidths=0.5, cbar_kws={"label": "Errors in common, %"}, xticklabels=titles, yticklabels=titles,
    )  # fmt: skip
    axes.set_xlim(0, len(names) - 1)
    axes.set_ylim(len(names), 1)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    ticks = [position + 0.5 for position in range(len(names))]
    axes.set_xticks(ticks[:-1], titles[:-1], rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks[1:], titles[1:], rotation=0)
    heading(figure, title)
    save(figure, folder, stem)
