"""Training curves: what the metrics.csv files of training jobs hold, against the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ikem.errors import InputError
from ikem.report.results import MODALITIES, clean
from ikem.report.style import Drawn, method_style, save, stream_style

_NOT_DRAWN = frozenset(("epoch", "step", "steps", "seconds", "time"))
_PANELS = 12


@dataclass(frozen=True)
class Curve:
    """The metrics of one training job.

    Attributes:
        path: metrics.csv: a column `epoch`, and one for each measure.
        group: title of the figure that it belongs to, for instance `NW-UCLA xview, stage 1`.
        label: its line; jobs of a group with the same label (seeds) share colour and name. Modalities have their own.
        stem: file of the group's figure below the folder of curves, without suffix.
    """

    path: Path
    group: str
    label: str
    stem: str


def draw_curves(curves: Sequence[Curve], folder: Path) -> list[Drawn]:
    """A figure for each group: a panel for each measure, a line for each job."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.stem, curve.group), []).append(curve)
    drawn = []
    for (stem, group), members in groups.items():
        caption = _draw_group(
            clean(group), [(curve.label, read_metrics(curve.path)) for curve in members], folder, stem
        )
        if caption:
            drawn.append(Drawn(f"curves/{stem}.png", "curves", clean(group), caption))
    return drawn


def read_metrics(path: Path) -> pd.DataFrame:
    """Metrics of a training job by epoch: of an epoch that stands twice (a resumed run), the last.

    Raises:
        InputError: the file is missing or is no table with a column `epoch`.
    """
    try:
        frame = pd.read_csv(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise InputError(f"is not a CSV file ({error})", where=str(path)) from error
    if "epoch" not in frame.columns:
        raise InputError("has no column 'epoch'", where=str(path))
    frame = frame.drop_duplicates("epoch", keep="last").set_index("epoch").sort_index()
    kept = [name for name in frame.columns if name not in _NOT_DRAWN and pd.api.types.is_numeric_dtype(frame[name])]
    return frame[kept].dropna(axis="columns", how="all")


def _draw_group(title: str, lines: Sequence[tuple[str, pd.DataFrame]], folder: Path, stem: str) -> str:
    measures = list(dict.fromkeys(str(name) for _, frame in lines for name in frame.columns))
    shown = measures[:_PANELS]
    if not shown:
        return ""
    across = min(3, len(shown))
    down = math.ceil(len(shown) / across)
    figure = Figure(figsize=(3.5 * across + 0.6, 2.5 * down + 0.5), layout="constrained")
    labels = _ordered(dict.fromkeys(label for label, _ in lines))
    for number, measure in enumerate(shown, 1):
        axes = figure.add_subplot(down, across, number)
        for place, label in enumerate(labels):
            frames = [frame for name, frame in lines if name == label and measure in frame.columns]
            known = label in MODALITIES
            colour = stream_style(label)[0] if known else method_style(place)[0]
            dash = "-" if known or place < 10 else "--"
            for order, frame in enumerate(frames):
                series = frame[measure].dropna()
                name = stream_style(label)[2] if known else clean(label)
                marker = "." if len(series) < 30 else ""
                axes.plot(
                    series.index.to_numpy(), series.to_numpy(), color=colour, linestyle=dash, marker=marker,
                    linewidth=1.2, alpha=0.9, label=name if order == 0 else None,
                )  # fmt: skip
        if "rate" in measure.split("_"):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(measure.replace("_", " "), fontsize=9.5)
        axes.set_xlabel("Epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles: dict[str, object] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside right upper")  # type: ignore[arg-type]
    save(figure, folder, f"curves/{stem}")
    runs = f"{len(lines)} job{'s' if len(lines) > 1 else ''}"
    left_out = f"; {len(measures) - len(shown)} more measures are in the files" if len(measures) > len(shown) else ""
    return f"A line for each of {runs}{left_out}."


def _ordered(labels: dict[str, None]) -> list[str]:
    known = [modality for modality in MODALITIES if modality in labels]
    return known + [label for label in labels if label not in known]
