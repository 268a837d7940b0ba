"""Figures of the results: methods side by side, the use of labels, confusion matrices, training curves.

Made from results.csv, the evaluations' confusion matrices and the training jobs' metrics.csv; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ikem.report.confusion import ConfusionFile, draw_confusions
from ikem.report.curves import Curve, draw_curves
from ikem.report.labels import Naming
from ikem.report.layout import Split, Table
from ikem.report.results import MODALITIES, streams_order
from ikem.report.style import GREY, INK, Drawn, drawing, method_style, save, stream_style, write_index
from ikem.report.summary import Cell, Summary, widest
from ikem.report.tables import read_tables


def write_figures(
    results: Path,
    folder: Path,
    naming: Naming,
    confusions: Sequence[ConfusionFile] = (),
    curves: Sequence[Curve] = (),
) -> list[Drawn]:
    """Draw all figures, each as PNG and SVG, and list them in `figures.json`.

    Args:
        results: the long table, results.csv.
        folder: where the figures go.
        naming: titles and order.
        confusions: matrices to draw; those of several seeds are summed.
        curves: metrics.csv files to draw; one figure for each of their groups.

    Returns:
        The figures, in the order of the report.

    Raises:
        InputError: a file cannot be read, or the folder cannot be written to.
    """
    tables = read_tables(results, naming)
    splits = naming.ordered_splits(split for table in tables for split in table.splits)
    drawn: list[Drawn] = []
    with drawing():
        for table in tables:
            drawn += [item for split in table.splits for item in draw_methods(table, split, folder, naming)]
        drawn += [item for split in splits for item in draw_label_use(tables, split, folder, naming)]
        drawn += draw_confusions(confusions, folder, naming)
        drawn += draw_curves(curves, folder)
    write_index(folder, drawn)
    return drawn


def draw_methods(table: Table, split: Split, folder: Path, naming: Naming) -> list[Drawn]:
    """Methods down, top-1 across: a marker for each stream, a line from its lowest to its highest run."""
    cells = {cell: summary for cell, summary in table.summaries.items() if (cell.dataset, cell.protocol) == split}
    methods = naming.ordered_methods(cell.method for cell in cells)
    cells = {cell: summary for cell, summary in cells.items() if summary.top1}
    if not cells:
        return []
    headline = widest(table.summaries)
    figure = Figure(figsize=(8.2, 1.5 + 0.62 * len(methods)))
    axes = figure.add_subplot()
    for place, method in enumerate(methods):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color="#f5f5f5", zorder=0)
        streams = sorted((cell.streams for cell in cells if cell.method == method), key=streams_order)
        for number, name in enumerate(streams):
            cell = Cell(method, name, *split)
            lane = place + 0.8 * ((number + 0.5) / len(streams) - 0.5)
            _draw_lane(axes, lane, cell, cells[cell], table)
        shown = cells.get(Cell(method, headline[method], *split))
        axes.annotate(
            str(shown.top1) if shown else "no figure", (1.015, place), xycoords=("axes fraction", "data"),
            va="center_baseline", color=INK if shown else GREY,
        )  # fmt: skip
    axes.set_yticks(range(len(methods)), [naming.method(method) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Top-1 accuracy, %")
    _mark_chance(axes, max(summary.classes for summary in cells.values()))
    title = f"{table.title}, {naming.split(*split)}"
    axes.set_title(title)
    _legend(axes, figure, cells, any(cell in table.published for cell in cells))
    stem = f"methods/{table.evaluation}/{split[0]}/{split[1]}"
    save(figure, folder, stem)
    caption = (
        "A marker is the mean of the runs, its line goes from the lowest to the highest; the figures on the right are "
        "those of each method with all its modalities (mean ± standard deviation)."
    )
    if not all(summary.complete for summary in cells.values()):
        caption += " These data are not the published number of clips."
    return [Drawn(f"{stem}.png", "methods", title, caption)]


def draw_label_use(tables: Sequence[Table], split: Split, folder: Path, naming: Naming) -> list[Drawn]:
    """Top-1 of each method, with all its modalities, against the share of the training labels."""
    shares: dict[float, Table] = {}
    for table in tables:
        share = naming.fraction(table.evaluation)
        if share is not None and any((cell.dataset, cell.protocol) == split for cell in table.summaries):
            shares.setdefault(share, table)
    if len(shares) < 2:
        return []
    headline = widest(cell for table in shares.values() for cell in table.summaries)
    methods = naming.ordered_methods(headline)
    figure = Figure(figsize=(7.6, 4.8))
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for place, method in enumerate(methods):
        cell = Cell(method, headline[method], *split)
        points = [(share, table.summaries.get(cell)) for share, table in sorted(shares.items())]
        found = [(share, item.top1.mean, item.values) for share, item in points if item and item.top1]
        if not found:
            continue
        color, marker, dash = _method_line(method, methods, naming)
        shift = 1.02 ** (place - (len(methods) - 1) / 2)
        across = [100 * share * shift for share, _, _ in found]
        means = [mean for _, mean, _ in found]
        axes.plot(
            across, means, color=color, marker=marker, markersize=6, linewidth=1.4, label=naming.method(method),
            linestyle=dash,
        )  # fmt: skip
        for position, (_, _, values) in zip(across, found, strict=True):
            axes.plot([position] * 2, [min(values), max(values)], color=color, linewidth=1.2, solid_capstyle="butt")
    axes.xaxis.set_major_locator(FixedLocator([100 * share for share in sorted(shares)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("Share of the training labels")
    axes.set_ylabel("Top-1 accuracy, %")
    title = f"Use of labels, {naming.split(*split)}"
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    stem = f"labels/{split[0]}/{split[1]}"
    save(figure, folder, stem)
    caption = (
        "Each method with all its modalities, fine-tuned; vertical lines go from the lowest to the highest run. "
        "Points of one share are set slightly apart."
    )
    return [Drawn(f"{stem}.png", "labels", title, caption)]


def _method_line(method: str, methods: Sequence[str], naming: Naming) -> tuple[str, str, str]:
    """Color, marker and dashes: floor and ceiling are dashed, without a marker."""
    alike = [name for name in methods if (name in naming.unranked) == (method in naming.unranked)]
    place = alike.index(method)
    if method in naming.unranked:
        return (GREY, INK)[place % 2], "", ("--", ":")[place % 2]
    return *method_style(place), "-"


def _draw_lane(axes: Axes, lane: float, cell: Cell, summary: Summary, table: Table) -> None:
    color, marker, _ = stream_style(cell.streams)
    assert summary.top1 is not None
    low, high = min(summary.values), max(summary.values)
    axes.plot([low, high], [lane, lane], color=color, linewidth=1.6, solid_capstyle="butt", zorder=2)
    size = 5.5 if cell.streams in MODALITIES else 7.5
    axes.plot(
        summary.top1.mean, lane, marker, color=color, markersize=size, markeredgecolor="white", markeredgewidth=0.5,
        zorder=3,
    )  # fmt: skip
    if cell in table.published:
        value = float(table.published[cell].top1)
        axes.plot(value, lane, marker, color=color, markersize=size, markerfacecolor="white", zorder=3)


def _mark_chance(axes: Axes, classes: int) -> None:
    chance = 100 / classes
    axes.set_xlim(left=0)
    axes.axvline(chance, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.annotate(
        "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
        rotation=90, va="top", ha="left", fontsize=7.5, color=GREY,
    )  # fmt: skip


def _legend(axes: Axes, figure: Figure, cells: Mapping[Cell, Summary], published: bool) -> None:
    handles: dict[str, Line2D] = {}
    for streams in sorted({cell.streams for cell in cells}, key=streams_order):
        color, marker, title = stream_style(streams)
        handles[title] = Line2D([], [], color=color, marker=marker, linestyle="", markeredgecolor="white", markersize=7)
    if published:
        handles["published"] = Line2D(
            [], [], color=INK, marker="o", linestyle="", markerfacecolor="white", markersize=6
        )
    below = -0.58 / (figure.get_size_inches()[1] * 0.77)
    axes.legend(
        list(handles.values()), list(handles), loc="upper center", bbox_to_anchor=(0.45, below), ncols=4,
        borderaxespad=0, handletextpad=0.3, columnspacing=1.4,
    )  # fmt: skip
