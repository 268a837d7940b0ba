"""Training curves: what the metrics.csv files of training jobs hold, against the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ikem.errors import InputError
from ikem.report.results import MODALITIES, clean
from ikem.report.style import COLOURS, Drawn, method_style, save, stream_style

_NOT_DRAWN = frozenset(("epoch", "step", "steps", "seconds", "time"))
_PANELS = 12

Line = tuple[str, pd.Series]
"""Label of a line, and its values by epoch."""


@dataclass(frozen=True)
class Curve:
    """The metrics of one training job.

    Attributes:
        path: metrics.csv: a column `epoch`, and one for each measure. A column named after a modality is its loss.
        group: title of the figure that it belongs to, for instance `NW-UCLA xview, stage 1`.
        label: its line, where the column does not name one; jobs with the same label (seeds) share color and name.
        stem: file of the group's figure below the folder of curves, without suffix.
    """

    path: Path
    group: str
    label: str
    stem: str


def draw_curves(curves: Sequence[Curve], folder: Path) -> list[Drawn]:
    """A figure for each group: a panel for each measure, a line for each job and modality."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.stem, curve.group), []).append(curve)
    drawn = []
    for (stem, group), members in groups.items():
        panels = _panels([(curve.label, read_metrics(curve.path)) for curve in members])
        if panels:
            shown = dict(list(panels.items())[:_PANELS])
            _draw_panels(clean(group), shown, folder, stem)
            jobs = f"{len(members)} job{'s' if len(members) > 1 else ''}, means over each epoch."
            more = len(panels) - len(shown)
            caption = jobs + (f" {more} more measures are in the files." if more else "")
            drawn.append(Drawn(f"curves/{stem}.png", "curves", clean(group), caption))
    return drawn


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


def _panels(jobs: Sequence[tuple[str, pd.DataFrame]]) -> dict[str, list[Line]]:
    """Lines of each panel; the losses first, the learning rate last."""
    panels: dict[str, list[Line]] = {}
    for label, frame in jobs:
        for name in map(str, frame.columns):
            panel, line = ("loss", name) if name in MODALITIES else (name, label)
            panels.setdefault(panel, []).append((line, frame[name].dropna()))
    return dict(sorted(panels.items(), key=lambda item: (item[0] != "loss", _is_rate(item[0]))))


def _draw_panels(title: str, panels: dict[str, list[Line]], folder: Path, stem: str) -> None:
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(3.5 * across + 0.6, 2.6 * down + 0.5), layout="constrained")
    labels = list(dict.fromkeys(label for lines in panels.values() for label, _ in lines))
    labels = [name for name in MODALITIES if name in labels] + [name for name in labels if name not in MODALITIES]
    handles: dict[str, Artist] = {}
    for number, (measure, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(down, across, number)
        for label, series in sorted(lines, key=lambda line: labels.index(line[0])):
            handle = _draw_line(axes, label, series, labels.index(label))
            if len({name for name, _ in lines}) > 1:
                handles.setdefault(stream_style(label)[2] if label in MODALITIES else clean(label), handle)
        if _is_rate(measure):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(clean(measure.replace("_", " ")), fontsize=9.5)
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside right upper")
    save(figure, folder, f"curves/{stem}")


def _draw_line(axes: Axes, label: str, series: pd.Series, place: int) -> Artist:
    known = label in MODALITIES
    (handle,) = axes.plot(
        series.index.to_numpy(),
        series.to_numpy(),
        color=stream_style(label)[0] if known else method_style(place)[0],
        linestyle="-" if known or place < COLOURS else "--",
        marker="." if len(series) < 30 else "",
        linewidth=1.2,
        alpha=0.9,
    )
    return handle


def _is_rate(measure: str) -> bool:
    return measure == "learning_rate"
