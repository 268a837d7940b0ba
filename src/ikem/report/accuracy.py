"""Figures of accuracy: by modality and fusion, against the share of labels, against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ikem.report.labels import Naming, streams_title
from ikem.report.results import streams_order
from ikem.report.style import COLUMN, GREY, INK, Drawn, heading, legend_below, method_style, save
from ikem.report.summary import Cell, Summary, widest
from ikem.report.table_parts import Split, Table

_UNRANKED = {GREY: "x", INK: "+"}
_INTERVAL = "Lines are 95 % intervals for the number of test clips (Wilson)."


def draw_accuracy(table: Table, split: Split, folder: Path, naming: Naming) -> list[Drawn]:
    """Streams down, top-1 across: a marker and an interval for each method that has them."""
    cells = _of(table, split)
    if not cells:
        return []
    methods = naming.ordered_methods(cell.method for cell in table.summaries)
    streams = sorted({cell.streams for cell in cells}, key=streams_order)
    lanes = [[method for method in methods if Cell(method, name, *split) in cells] for name in streams]
    height = 0.095 * sum(map(len, lanes)) + 0.08 * len(streams)
    legend_rows = -(-(len(methods) + 1) // 3)
    figure = Figure(figsize=(COLUMN, height + 0.75 + 0.14 * legend_rows))
    axes = figure.add_subplot()
    handles: dict[str, Line2D] = {}
    position, ticks = 0.0, []
    for number, (name, present) in enumerate(zip(streams, lanes, strict=True)):
        if number % 2:
            axes.axhspan(position - 0.9, position + len(present) - 0.1, color="#f3f3f3", zorder=0, linewidth=0)
        ticks.append(position + (len(present) - 1) / 2)
        for method in present:
            cell = Cell(method, name, *split)
            handles.setdefault(naming.method(method), _lane(axes, position, cell, cells[cell], table, methods, naming))
            position += 1
        position += 0.8
    axes.set_yticks(ticks, [_wrapped(streams_title(name)) for name in streams])
    axes.set_ylim(position - 0.9, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Top-1 accuracy, %")
    _mark_chance(axes, max(summary.classes for summary in cells.values()))
    title = f"{table.title}, {naming.split(*split)}"
    heading(figure, title)
    ordered = {
        naming.method(method): handles[naming.method(method)] for method in methods if naming.method(method) in handles
    }
    if any(cell in table.published for cell in cells):
        ordered["published"] = Line2D(
            [], [], color=INK, marker="o", linestyle="", markerfacecolor="white", markersize=4
        )
    legend_below(figure, ordered, 3)
    stem = f"accuracy/{table.evaluation}/{split[0]}/{split[1]}"
    save(figure, folder, stem)
    caption = f"Mean top-1 of each method's streams and their fusion. {_INTERVAL}"
    if any(len(summary.runs) > 1 for summary in cells.values()):
        caption += " Small marks are single runs."
    if not all(summary.complete for summary in cells.values()):
        caption += " These data are not the published number of clips."
    return [Drawn(f"{stem}.png", "accuracy", title, caption)]


def draw_label_use(tables: Sequence[Table], split: Split, folder: Path, naming: Naming) -> list[Drawn]:
    """Top-1 of each method, with all its modalities, against the share of the training labels."""
    shares: dict[float, Table] = {}
    for table in tables:
        share = naming.fraction(table.evaluation)
        if share is not None and any((cell.dataset, cell.protocol) == split for cell in table.summaries):
            shares.setdefault(share, table)
    several = len({cell.method for table in shares.values() for cell in _of(table, split)}) > 1
    if len(shares) < 2 or not several:
        return []
    headline = widest(cell for table in shares.values() for cell in _of(table, split))
    methods = naming.ordered_methods(cell.method for table in shares.values() for cell in table.summaries)
    figure = Figure(figsize=(COLUMN, 2.6 + 0.14 * -(-len(methods) // 3)))
    axes = figure.add_subplot()
    axes.set_xscale("log")
    handles: dict[str, Line2D] = {}
    for position, method in enumerate(methods):
        cell = Cell(method, headline.get(method, ""), *split)
        points = [(share, table.summaries.get(cell)) for share, table in sorted(shares.items())]
        found = [(share, item) for share, item in points if item and item.top1]
        if not found:
            continue
        color, marker, dash = method_line(method, methods, naming)
        across = [100 * share * 1.03 ** (position - (len(methods) - 1) / 2) for share, _ in found]
        means = [item.top1.mean for _, item in found if item.top1]
        (line,) = axes.plot(across, means, color=color, marker=marker, markersize=4, linewidth=1.1, linestyle=dash)
        handles[naming.method(method)] = line
        for position, (_, item) in zip(across, found, strict=True):
            axes.plot([position] * 2, item.interval or (), color=color, linewidth=0.8, solid_capstyle="butt")
    axes.xaxis.set_major_locator(FixedLocator([100 * share for share in sorted(shares)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("Share of the training labels")
    axes.set_ylabel("Top-1 accuracy, %")
    title = f"Use of labels, {naming.split(*split)}"
    heading(figure, title)
    legend_below(figure, handles, 3)
    stem = f"labels/{split[0]}/{split[1]}"
    save(figure, folder, stem)
    unranked = [naming.method(method) for method in methods if method in naming.unranked]
    caption = (
        f"Each method with all its modalities, fine-tuned. {_INTERVAL} Points of one share are set slightly apart."
    )
    if unranked:
        caption += f" Dashed, without pretraining: {', '.join(unranked)}."
    return [Drawn(f"{stem}.png", "labels", title, caption)]


def draw_costs(table: Table, split: Split, folder: Path, naming: Naming) -> list[Drawn]:
    """Top-1 of each method with all its modalities against operations and against pretraining time."""
    cells = _of(table, split)
    headline = widest(cells)
    methods = naming.ordered_methods(cell.method for cell in table.summaries)
    shown = {method: Cell(method, headline[method], *split) for method in methods if method in headline}
    shown = {method: cell for method, cell in shown.items() if cell in table.costs}
    if len(shown) < 2:
        return []
    rows = -(-len(shown) // 3)
    figure = Figure(figsize=(COLUMN, 2.3 + 0.14 * rows))
    left, right = figure.subplots(1, 2, sharey=True)
    handles: dict[str, Line2D] = {}
    longest = max(table.costs[cell].train_seconds or 0 for cell in shown.values())
    unit, seconds = ("hours", 3600) if longest > 7200 else ("minutes", 60) if longest > 120 else ("seconds", 1)
    for method, cell in shown.items():
        color, marker, _ = method_line(method, methods, naming)
        cost, summary = table.costs[cell], cells[cell]
        assert summary.top1 is not None and summary.interval is not None
        for axes, value in ((left, cost.gflops), (right, (cost.train_seconds or 0) / seconds)):
            if value > 0:
                axes.plot([value] * 2, summary.interval, color=color, linewidth=0.8, solid_capstyle="butt")
                (mark,) = axes.plot(value, summary.top1.mean, marker or _UNRANKED[color], color=color, markersize=5)
                handles[naming.method(method)] = mark
    for axes, label in ((left, "GFLOPs for one body"), (right, f"Pretraining time, {unit}")):
        axes.set_xlim(0, 1.08 * axes.get_xlim()[1])
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    left.set_ylabel("Top-1 accuracy, %")
    title = f"Cost and accuracy: {table.title}, {naming.split(*split)}"
    heading(figure, title)
    legend_below(figure, handles, 3)
    stem = f"costs/{table.evaluation}/{split[0]}/{split[1]}"
    save(figure, folder, stem)
    caption = (
        "Each method with all its modalities: operations of embedding one body by all its encoders, and wall time of "
        f"all training that they need. {_INTERVAL}"
    )
    if untrained := [naming.method(method) for method, cell in shown.items() if not table.costs[cell].train_seconds]:
        caption += f" Not trained, so on the left only: {', '.join(untrained)}."
    return [Drawn(f"{stem}.png", "costs", title, caption)]


def method_line(method: str, methods: Sequence[str], naming: Naming) -> tuple[str, str, str]:
    """Color, marker and dashes: floor and ceiling are grey and dashed, without a marker.

    They follow the order of the config's methods, those that are compared first, whichever `methods` a figure shows.
    """
    known = list(dict.fromkeys([*naming.compared, *naming.methods, *methods]))
    alike = [name for name in known if (name in naming.unranked) == (method in naming.unranked)]
    position = alike.index(method)
    if method in naming.unranked:
        return (GREY, INK)[position % 2], "", ("--", ":")[position % 2]
    return *method_style(position), "-"


def _of(table: Table, split: Split) -> dict[Cell, Summary]:
    """The cells of a split that have figures."""
    return {cell: item for cell, item in table.summaries.items() if cell.split == split and item.top1}


def _lane(
    axes: Axes, lane: float, cell: Cell, summary: Summary, table: Table, methods: Sequence[str], naming: Naming
) -> Line2D:
    color, marker, _ = method_line(cell.method, methods, naming)
    marker = marker or _UNRANKED[color]
    assert summary.top1 is not None and summary.interval is not None
    axes.plot(summary.interval, [lane, lane], color=color, linewidth=0.9, solid_capstyle="butt", zorder=2)
    if len(summary.runs) > 1:
        axes.plot(list(summary.runs.values()), [lane] * len(summary.runs), "|", color=color, markersize=3, zorder=2)
    (mark,) = axes.plot(summary.top1.mean, lane, marker, color=color, markersize=4, zorder=3)
    if cell in table.published:
        axes.plot(float(table.published[cell].top1), lane, marker, color=color, markersize=4, markerfacecolor="white")
    return mark


def _wrapped(title: str) -> str:
    return title.replace("+", "+\n") if len(title) > 18 else title


def _mark_chance(axes: Axes, classes: int) -> None:
    chance = 100 / classes
    axes.set_xlim(left=0)
    axes.axvline(chance, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    axes.annotate(
        "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(2, -2), textcoords="offset points",
        rotation=90, va="top", ha="left", fontsize=6, color=GREY,
    )  # fmt: skip
