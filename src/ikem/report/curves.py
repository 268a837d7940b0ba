"""Learning curves: the losses of every method of a split against the epoch, on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import seaborn
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ikem.errors import InputError
from ikem.report.results import MODALITIES, clean, streams_order
from ikem.report.style import GREY, PAGE, Drawn, heading, legend_below, panels_across, save, stream_style

_NOT_DRAWN = frozenset(("epoch", "step", "steps", "seconds", "time", "learning_rate"))


@dataclass(frozen=True)
class Curve:
    """The metrics of one training job.

    Attributes:
        path: metrics.csv: a column `epoch`, and one for each measure. A column named after a modality is its loss.
        page: title of the figure that it belongs to, for instance `NW-UCLA xview`.
        panel: its method; a method's stages follow one another in one panel, its seeds lie over each other.
        stem: file of the figure below the folder of curves, without suffix.
    """

    path: Path
    page: str
    panel: str
    stem: str


def draw_curves(curves: Sequence[Curve], folder: Path) -> list[Drawn]:
    """A figure for each page: a panel for each method, a line for each modality."""
    pages: dict[tuple[str, str], dict[str, list[pd.DataFrame]]] = {}
    for curve in curves:
        frame = read_metrics(curve.path)
        if not frame.empty:
            pages.setdefault((curve.stem, curve.page), {}).setdefault(curve.panel, []).append(frame)
    drawn = []
    for (stem, page), panels in pages.items():
        title = f"Learning curves, {clean(page)}"
        starts = _draw(title, panels, folder, f"curves/{stem}")
        caption = "Training loss, mean over each epoch."
        if any(_several_seeds(jobs) for jobs in panels.values()):
            caption += " Lines of one color are seeds."
        if starts:
            caption += (
                " A dotted line is where the next stage begins; where its loss has other terms, the scale is another."
            )
        drawn.append(Drawn(f"curves/{stem}.png", "curves", title, caption))
    return drawn


def _several_seeds(jobs: Sequence[pd.DataFrame]) -> bool:
    """Whether two jobs train the same modality in the same epochs."""
    seen = [(frame.index[0], *frame.columns) for frame in jobs]
    return len(set(seen)) < len(seen)


def read_metrics(path: Path) -> pd.DataFrame:
    """Metrics of a training job by epoch: of an epoch that is there twice (a resumed run), the last.

    Raises:
        InputError: the file is missing or is no table with a column `epoch`.
    """
    try:
        frame = pd.read_csv(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", location=str(path)) from error
    except ValueError as error:
        raise InputError(f"is not a CSV file ({error})", location=str(path)) from error
    if "epoch" not in frame.columns:
        raise InputError("has no column 'epoch'", location=str(path))
    frame = frame.drop_duplicates("epoch", keep="last").set_index("epoch").sort_index()
    kept = [name for name in frame.columns if name not in _NOT_DRAWN and pd.api.types.is_numeric_dtype(frame[name])]
    return frame[kept].dropna(axis="columns", how="all")


def _draw(title: str, panels: dict[str, list[pd.DataFrame]], folder: Path, stem: str) -> list[float]:
    """Draw a page; returns where a further stage begins."""
    across = panels_across(len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(PAGE, 1.75 * down + 0.6))
    grid = figure.subplots(down, across, squeeze=False).ravel()
    handles: dict[str, Artist] = {}
    starts: list[float] = []
    for axes, (panel, jobs) in zip(grid, panels.items(), strict=False):
        begins = sorted({float(frame.index[0]) for frame in jobs if len(frame)})
        for begin in begins[1:]:
            axes.axvline(begin - 0.5, color=GREY, linewidth=0.8, linestyle=":")
            starts.append(begin)
        for frame in jobs:
            for name in map(str, frame.columns):
                color, _, label = stream_style(name) if name in MODALITIES else ("#222222", "", clean(name))
                seaborn.lineplot(
                    x=frame.index.to_numpy(), y=frame[name].to_numpy(), ax=axes, color=color, linewidth=0.9,
                    marker="." if len(frame) < 8 else None, markeredgecolor=color, errorbar=None, legend=False,
                )  # fmt: skip
                handles.setdefault(label if name not in MODALITIES else name, axes.lines[-1])
        axes.set_title(clean(panel))
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Loss")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    heading(figure, title)
    ordered = sorted(handles, key=lambda name: (name not in MODALITIES, streams_order(name)))
    legend_below(figure, {clean(name.replace("_", " ")): handles[name] for name in ordered}, 6)
    save(figure, folder, stem)
    return starts
