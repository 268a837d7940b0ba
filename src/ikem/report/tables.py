"""Tables of the results: Markdown and CSV of each evaluation, and the main table for a terminal.

Everything here is computed from results.csv; nothing is trained or evaluated.
"""

from __future__ import annotations

import csv
import io
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from tabulate import tabulate

from ikem.evaluations.metrics import METRICS
from ikem.files import spreadsheet_cell, write_text
from ikem.report.labels import Naming
from ikem.report.layout import DAGGER, DOUBLE_DAGGER, Entry, Section, Table, evaluations_of, lay_out, ordered_lines
from ikem.report.markdown import escape
from ikem.report.results import read_results
from ikem.report.summary import Cell


def read_tables(results: Path, naming: Naming) -> list[Table]:
    """The table of each evaluation in results.csv, in order.

    Raises:
        InputError: results.csv cannot be read.
    """
    rows, missing = read_results(results)
    return [lay_out(rows, missing, evaluation, naming) for evaluation in evaluations_of(rows, missing, naming)]


def write_tables(results: Path, folder: Path, naming: Naming) -> list[Path]:
    """Write `{evaluation}.md` and `{evaluation}.csv` of each evaluation.

    Args:
        results: the long table, results.csv.
        folder: where the tables go.
        naming: titles and order.

    Returns:
        The files, in order.

    Raises:
        InputError: results.csv cannot be read, or the folder cannot be written to.
    """
    paths: list[Path] = []
    for table in read_tables(results, naming):
        for suffix, text in ((".md", as_markdown(table)), (".csv", as_csv(table, naming))):
            paths.append(folder / f"{table.evaluation}{suffix}")
            write_text(paths[-1], text)
    return paths


def as_markdown(table: Table) -> str:
    """A table as Markdown that also reads well as plain text."""
    parts = [f"# {escape(table.title)}", escape(table.caption)]
    if any(entry.interval for section in table.sections for line in section.lines for entry in line):
        parts.append("In brackets: the 95 % interval over the clips tested (Wilson).")
    for section in table.sections:
        parts += [f"## {escape(section.title)}", escape(section.note), _markdown_grid(section)]
    parts += [f"{symbol} {escape(meaning)}" for symbol, meaning in table.legend.items()]
    if table.footnotes:
        parts.append("\n".join(f"- \\[{number}\\] {escape(text)}" for number, text in enumerate(table.footnotes, 1)))
    if table.sources:
        parts += ["## Sources", "\n".join(f"- {escape(source)}" for source in table.sources)]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_csv(table: Table, naming: Naming) -> str:
    """A table as CSV: every method and stream down, the figures of every split across; percent, two decimals."""
    lines: list[dict[str, str]] = []
    for method, streams in ordered_lines(table.summaries, naming):
        line = {"method": method, "title": spreadsheet_cell(naming.method(method)), "streams": streams}
        for split in table.splits:
            line |= _csv_cell(table, Cell(method, streams, *split))
        lines.append(line)
    columns = list(dict.fromkeys(column for line in lines for column in line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def print_main_table(
    results: Path,
    naming: Naming,
    places: Mapping[str, Path | str],
    evaluation: str = "linear",
    stream: TextIO | None = None,
    width: int = 120,
) -> None:
    """Print each method with all its modalities, then where everything is.

    Args:
        results: the long table, results.csv.
        naming: titles and order.
        places: paths by what they are, printed below the table.
        evaluation: which to show; if it is not there, the first one.
        stream: where to print; by default standard output.
        width: characters of a line; a wider table is printed split by split.

    Raises:
        InputError: results.csv cannot be read.
    """
    target = stream or sys.stdout
    tables = read_tables(results, naming)
    table = next((table for table in tables if table.evaluation == evaluation), next(iter(tables), None))
    text = "No results yet.\n" if table is None else _terminal(table, width)
    longest = max((len(name) for name in places), default=0)
    text += "".join(f"\n{name:<{longest}}  {place}" for name, place in places.items()) + "\n" * bool(places)
    try:
        text.encode(target.encoding or "utf-8")
    except UnicodeEncodeError:
        text = (
            text.replace("±", "+/-")
            .replace(DAGGER, "!")
            .replace(DOUBLE_DAGGER, "!!")
            .encode("ascii", "replace")
            .decode()
        )
    target.write(text)
    target.flush()


def _terminal(table: Table, width: int) -> str:
    def fill(text: str) -> str:
        return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)

    parts = [fill(f"{table.title}. {table.caption}")]
    for section in table.sections[:1]:
        grids = [_plain(section)]
        if max(map(len, grids[0].splitlines())) > width:
            grids = [_plain(_columns(section, columns)) for columns in _by_split(section)]
        parts += grids
    if any(entry.best for section in table.sections[:1] for line in section.lines for entry in line):
        parts.append("* the best pretrained method of a column")
    parts += [fill(f"{symbol} {meaning}") for symbol, meaning in table.legend.items()]
    parts += [fill(f"[{number}] {text}") for number, text in enumerate(table.footnotes, 1)]
    return "\n\n".join(parts) + "\n"


def _plain(section: Section) -> str:
    lines = [
        [entry.text + ("*" if entry.best else " " * bool(entry.text)) + entry.marks
         if column not in section.texts else entry.text for column, entry in enumerate(line)]
        for line in section.lines
    ]  # fmt: skip
    align = ["left" if column in section.texts else "right" for column in range(len(section.header))]
    return tabulate(lines, section.header, tablefmt="simple", colalign=align, disable_numparse=True)


def _by_split(section: Section) -> list[list[int]]:
    """Columns of a grid for each split: the words, a figure, and the published value that follows it."""
    words = sorted(section.texts)
    groups: list[list[int]] = []
    for column, title in enumerate(section.header):
        if column in section.texts:
            continue
        if title == "published" and groups:
            groups[-1].append(column)
        else:
            groups.append([*words, column])
    return groups


def _columns(section: Section, columns: Sequence[int]) -> Section:
    texts = frozenset(place for place, column in enumerate(columns) if column in section.texts)
    header = tuple(section.header[column] for column in columns)
    lines = tuple(tuple(line[column] for column in columns) for line in section.lines)
    return Section(section.title, section.note, header, lines, texts)


def _markdown_grid(section: Section) -> str:
    header = [escape(title) for title in section.header]
    lines = [[_markdown_entry(entry) for entry in line] for line in section.lines]
    widths = [max(3, *(len(line[column]) for line in [header, *lines])) for column in range(len(header))]
    left = [column in section.texts for column in range(len(header))]
    rule = ["-" * width if words else "-" * (width - 1) + ":" for width, words in zip(widths, left, strict=True)]

    def join(cells: Iterable[str]) -> str:
        padded = (
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(cells, widths, left, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([join(header), join(rule), *map(join, lines)])


def _markdown_entry(entry: Entry) -> str:
    text = escape(entry.text)
    interval = f" ({entry.interval})" if entry.interval else ""
    return (f"**{text}**" if entry.best else text) + interval + escape(entry.marks)


def _csv_cell(table: Table, cell: Cell) -> dict[str, str]:
    summary = table.summaries.get(cell)
    prefix = "/".join(cell.split)
    metrics = summary.metrics if summary else {}
    figures = {name: metrics.get(name) for name, metric in METRICS.items() if metric.unit == "percent"}
    line: dict[str, str] = {}
    for name, figure in figures.items():
        line[f"{prefix} {name}"] = f"{figure.mean:.2f}" if figure else ""
        deviation = figure.deviation if figure else None
        line[f"{prefix} {name}_deviation"] = "" if deviation is None else f"{deviation:.2f}"
    interval = summary.interval if summary else None
    for name, end in zip(("low", "high"), interval or (None, None), strict=True):
        line[f"{prefix} top1_{name}"] = "" if end is None else f"{end:.2f}"
    line[f"{prefix} seeds"] = str(summary.seeds) if summary else ""
    line[f"{prefix} runs"] = str(len(summary.values)) if summary else ""
    line[f"{prefix} complete"] = ("yes" if summary.complete else "no") if summary and summary.values else ""
    if any(other.split == cell.split for other in table.published):
        value = table.published.get(cell)
        line[f"{prefix} published_top1"] = value.top1 if value else ""
    line[f"{prefix} note"] = "; ".join(summary.reasons) if summary else ""
    return line
