"""Maps of embeddings: test clips in two dimensions by t-SNE (van der Maaten and Hinton, JMLR 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ikem.data.splits import read_split
from ikem.data.store import load_samples
from ikem.report.confusion import class_labels
from ikem.report.labels import Naming
from ikem.report.results import MODALITIES
from ikem.report.style import PAGE, Drawn, class_style, heading, legend_below, panels_across, save
from ikem.training.checkpoint import load_tensors

_CLASSES = 10
_CLIPS = 300
_FEWEST = 10


@dataclass(frozen=True)
class EmbeddingFile:
    """Embeddings of all clips by a method.

    Attributes:
        path: embeddings.safetensors, (N, D) for each modality.
        samples: samples.csv of the N clips.
        split: the split, whose test clips are drawn.
        dataset, protocol, method: entries of the config.
    """

    path: Path
    samples: Path
    split: Path
    dataset: str
    protocol: str
    method: str


def draw_embeddings(files: Sequence[EmbeddingFile], folder: Path, naming: Naming) -> list[Drawn]:
    """A figure for each split with a map for each method, of the first seed; none of fewer than ten test clips, and no
    map of embeddings that are all the same.
    """
    groups: dict[tuple[str, str], dict[str, EmbeddingFile]] = {}
    for file in files:
        groups.setdefault((file.dataset, file.protocol), {}).setdefault(file.method, file)
    drawn = []
    for (dataset, protocol), members in groups.items():
        methods = naming.ordered_methods(members)
        first = members[methods[0]]
        labels = load_samples(first.samples)["label"].to_numpy(np.int64)
        chosen = choose(np.asarray(read_split(first.split)["test"], np.int64), labels)
        names = class_labels(naming.classes.get(dataset, ()), int(labels.max()) + 1)
        values = {naming.method(method): joined(members[method].path, chosen) for method in methods}
        values = {title: part for title, part in values.items() if np.ptp(part, axis=0).any()}
        if len(chosen) < _FEWEST or not values:
            continue
        maps = {title: tsne(part) for title, part in values.items()}
        title = f"Embeddings of test clips, {naming.split(dataset, protocol)}"
        stem = f"embeddings/{dataset}/{protocol}"
        _draw(maps, labels[chosen], names, title, folder, stem)
        classes = len(np.unique(labels[chosen]))
        caption = (
            f"{len(chosen)} test clips of {classes} classes, mapped by t-SNE from the embeddings of all modalities of "
            "a method together, each of length 1. Only what is near means something; distances between groups do not."
        )
        drawn.append(Drawn(f"{stem}.png", "embeddings", title, caption))
    return drawn


def choose(test: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Test clips of the first ten classes that occur, evenly spaced if there are more than 300."""
    kept = test[np.isin(labels[test], np.unique(labels[test])[:_CLASSES])]
    return kept[np.linspace(0, len(kept) - 1, min(len(kept), _CLIPS)).round().astype(np.int64)]


def joined(path: Path, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(rows, sum of D): embeddings of every modality, each divided by its length."""
    tensors, _ = load_tensors(path)
    parts = [tensor.numpy()[rows] for name, tensor in sorted(tensors.items()) if name in MODALITIES]
    return np.hstack([part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts])


def tsne(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2) by scikit-learn, from the principal components: the same for the same values.

    By one thread: of so few clips two took four times the processor time beside other work.
    """
    from sklearn.manifold import TSNE  # a second to import
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, max(2.0, (len(values) - 1) / 4))
    with threadpool_limits(limits=1):
        found: NDArray[np.float32] = TSNE(
            init="pca", perplexity=perplexity, random_state=0, n_jobs=1, max_iter=500
        ).fit_transform(values)
    return found


def _draw(
    maps: dict[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    names: Sequence[str],
    title: str,
    folder: Path,
    stem: str,
) -> None:
    across = panels_across(len(maps))
    down = -(-len(maps) // across)
    present = [int(label) for label in np.unique(labels)]
    styles = {label: class_style(index) for index, label in enumerate(present)}
    figure = Figure(figsize=(PAGE, 2.2 * down + 0.6 + 0.14 * -(-len(present) // 4)))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    handles: dict[str, Artist] = {}
    for axes, (method, points) in zip(panels, maps.items(), strict=False):
        for label in present:
            color, marker = styles[label]
            rows = points[labels == label]
            seaborn.scatterplot(
                x=rows[:, 0], y=rows[:, 1], color=color, marker=marker, s=9, linewidth=0.2, ax=axes, legend=False
            )
            handles.setdefault(names[label], axes.collections[-1])
        axes.set_title(method)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    for axes in panels[len(maps) :]:
        axes.set_axis_off()
    heading(figure, title)
    legend_below(figure, handles, 4)
    save(figure, folder, stem)
