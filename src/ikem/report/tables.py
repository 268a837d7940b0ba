"""Tables of the results: Markdown, CSV, LaTeX and HTML of each evaluation, and the main table for a terminal.

Everything here is computed from results.csv and costs.csv; nothing is trained or evaluated.
"""

from __future__ import annotations

import csv
import io
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from tabulate import tabulate

from ikem.evaluations.metrics import METRICS
from ikem.files import spreadsheet_cell, write_text
from ikem.report.costs import FILE, Cost, read_costs
from ikem.report.html import as_html
from ikem.report.labels import Naming
from ikem.report.latex import as_document, as_latex
from ikem.report.layout import evaluations_of, gain_of, lay_out, ordered_lines
from ikem.report.markdown import escape
from ikem.report.results import Missing, Row, read_results, row_order
from ikem.report.summary import Cell
from ikem.report.table_parts import DAGGER, DOUBLE_DAGGER, Block, Entry, Section, Table


def read_tables(results: Path, naming: Naming) -> list[Table]:
    """The table of each evaluation in results.csv, in order; with costs, if costs.csv is next to it.

    Raises:
        InputError: a file cannot be read.
    """
    rows, missing = _united(*read_results(results), naming)
    costs: dict[Cell, Cost] = {}
    for cell, cost in read_costs(results.with_name(FILE)).items():
        costs.setdefault(replace(cell, method=naming.row(cell.method)), cost)
    return [lay_out(rows, missing, evaluation, naming, costs) for evaluation in evaluations_of(rows, missing, naming)]


def _united(rows: list[Row], missing: list[Missing], naming: Naming) -> tuple[list[Row], list[Missing]]:
    """Entries that are one row, as one; what two of them have measured, once."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        shown = row.model_copy(update={"method": naming.row(row.method)})
        found.setdefault(row_order(shown), shown)
    gaps = dict.fromkeys(replace(gap, method=naming.row(gap.method)) for gap in missing)
    return list(found.values()), list(gaps)


def write_tables(results: Path, folder: Path, naming: Naming) -> list[Path]:
    """Write `{evaluation}.md`, `.csv`, `.tex` and `.html` of each evaluation, `{evaluation}/{section}.tex` of each of
    its sections, and `all.tex`, which shows all of them.

    Args:
        results: the long table, results.csv.
        folder: where the tables go.
        naming: titles and order.

    Returns:
        The files, in order.

    Raises:
        InputError: results.csv cannot be read, or the folder cannot be written to.
    """
    texts: dict[str, str] = {}
    latex: list[str] = []
    for table in read_tables(results, naming):
        texts[f"{table.evaluation}.md"] = as_markdown(table)
        texts[f"{table.evaluation}.csv"] = as_csv(table, naming)
        main = tuple(map(without_single_streams, table.sections[:1]))
        inputs = as_latex(replace(table, sections=main + table.sections))
        texts |= inputs
        latex += [name.removesuffix(".tex") for name in inputs]
        texts[f"{table.evaluation}.html"] = as_html("table_page.html.jinja", table=table)
    if latex:
        texts["all.tex"] = as_document(latex)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def as_markdown(table: Table) -> str:
    """A table as Markdown that also reads well as plain text."""
    parts = [f"# {escape(table.title)}", escape(table.caption)]
    for section in table.sections:
        parts += [f"## {escape(section.title)}", escape(section.note)]
        for block in section.blocks:
            parts += [f"### {escape(block.title)}", markdown_grid(section, block)]
    parts += [f"{symbol} {escape(meaning)}" for symbol, meaning in table.legend.items()]
    parts.append(footnotes(table))
    if table.sources:
        parts += ["## Sources", "\n".join(f"- {escape(source)}" for source in table.sources)]
    return "\n\n".join(part for part in parts if part) + "\n"


def footnotes(table: Table) -> str:
    """What the numbers in brackets stand for, as a list in Markdown; empty where there are none."""
    return "\n".join(f"- \\[{number}\\] {escape(text)}" for number, text in enumerate(table.footnotes, 1))


def main_grid(table: Table, section: int = 0) -> str:
    """The lines of methods with all their modalities, as one grid in Markdown: of all splits (0), or of one split with
    intervals and costs (1: the first).
    """
    shown = without_single_streams(table.sections[section], only_first=section > 0)
    lines = tuple(line for block in shown.blocks for line in block.lines)
    return markdown_grid(shown, Block("", lines))


def as_csv(table: Table, naming: Naming) -> str:
    """A table as CSV: every method and stream down, the figures of every split across; percent, two decimals."""
    lines: list[dict[str, str]] = []
    for method, streams in ordered_lines(table.summaries, naming):
        line = {"method": method, "title": spreadsheet_cell(naming.method(method)), "streams": streams}
        for split in table.splits:
            line |= _csv_cell(table, Cell(method, streams, *split), naming)
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
    paths: Mapping[str, Path | str],
    evaluation: str = "linear",
    stream: TextIO | None = None,
    width: int = 120,
) -> None:
    """Print each method with all its modalities, then where everything is.

    Args:
        results: the long table, results.csv.
        naming: titles and order.
        paths: by what they are, printed below the table.
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
    longest = max((len(name) for name in paths), default=0)
    text += "".join(f"\n{name:<{longest}}  {path}" for name, path in paths.items()) + "\n" * bool(paths)
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
    section = without_single_streams(table.sections[0])
    grids = [_plain(section)]
    if max(map(len, grids[0].splitlines())) > width:
        words = sorted(section.texts)
        grids = [_plain(_columns(section, [*words, column]))
                 for column in range(len(section.header)) if column not in section.texts]  # fmt: skip
    parts += grids
    if any(entry.rank == 1 for line in section.lines for entry in line):
        parts.append("* the best pretrained method of a block")
    parts += [fill(f"{symbol} {meaning}") for symbol, meaning in table.legend.items()]
    parts += [fill(f"[{number}] {text}") for number, text in enumerate(table.footnotes, 1)]
    return "\n\n".join(parts) + "\n"


def without_single_streams(section: Section, only_first: bool = False) -> Section:
    """Without single streams where a method has a fusion in the same columns: what a main table shows.

    Args:
        section: a section whose blocks have keys.
        only_first: only the first column of figures is of results, those that follow describe them.
    """
    columns = [column for column in range(len(section.header)) if column not in section.texts]
    columns = columns[:1] if only_first else columns

    def filled(method: str, line: Sequence[Entry]) -> set[tuple[str, int]]:
        return {(method, column) for column in columns if line[column].text or line[column].notes}

    keyed = [(block, list(zip(block.keys, block.lines, strict=True))) for block in section.blocks]
    fused = set().union(*(filled(key[0], line) for _, lines in keyed for key, line in lines if "+" in key[1]))
    blocks = []
    for block, lines in keyed:
        kept = [(key, line) for key, line in lines if "+" in key[1] or not filled(key[0], line) <= fused]
        if kept:
            keys, texts = zip(*kept, strict=True)
            blocks.append(Block(block.title, texts, keys))
    return replace(section, blocks=tuple(blocks))


def _plain(section: Section) -> str:
    lines: list[list[str]] = []
    for block in section.blocks:
        lines.append([block.title, *[""] * (len(section.header) - 1)])
        lines += [
            [f"  {entry.text}" if column == 0 else _plain_entry(entry, column in section.texts)
             for column, entry in enumerate(line)]
            for line in block.lines
        ]  # fmt: skip
    align = ["left" if column in section.texts else "right" for column in range(len(section.header))]
    return tabulate(
        lines, section.header, tablefmt="simple", colalign=align, disable_numparse=True, preserve_whitespace=True
    )


def _plain_entry(entry: Entry, words: bool) -> str:
    if words:
        return entry.text
    return entry.text + ("*" if entry.rank == 1 else " " * bool(entry.text)) + entry.marks


def _columns(section: Section, columns: Sequence[int]) -> Section:
    texts = frozenset(index for index, column in enumerate(columns) if column in section.texts)
    header = tuple(section.header[column] for column in columns)
    blocks = tuple(
        Block(block.title, tuple(tuple(line[column] for column in columns) for line in block.lines))
        for block in section.blocks
    )
    return Section(section.title, section.note, header, blocks, texts)


def markdown_grid(section: Section, block: Block) -> str:
    """The lines of a block under the header of its section, as a grid in Markdown."""
    header = [escape(title) for title in section.header]
    lines = [[_markdown_entry(entry) for entry in line] for line in block.lines]
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
    text = f"**{text}**" if entry.rank == 1 else f"<u>{text}</u>" if entry.rank == 2 else text
    return text + escape(entry.marks) + (escape(f" [{entry.cite}]") if entry.cite else "")


def _csv_cell(table: Table, cell: Cell, naming: Naming) -> dict[str, str]:
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
    gain = gain_of(table.summaries, cell, naming)
    line[f"{prefix} gain"] = "" if gain is None else f"{gain:z.2f}"
    line[f"{prefix} seeds"] = str(summary.seeds) if summary else ""
    line[f"{prefix} runs"] = str(len(summary.runs)) if summary else ""
    line[f"{prefix} complete"] = ("yes" if summary.complete else "no") if summary and summary.runs else ""
    if any(other.split == cell.split for other in table.published):
        value = table.published.get(cell)
        line[f"{prefix} published_top1"] = value.top1 if value else ""
        line[f"{prefix} published_selection"] = value.selection if value else ""
        line[f"{prefix} published_key"] = value.work.key if value else ""
    line[f"{prefix} rejected_clips"] = str(summary.rejected_clips) if summary and summary.runs else ""
    if table.costs:
        cost = table.costs.get(replace(cell, condition=""))
        line[f"{prefix} parameters"] = str(cost.parameters) if cost else ""
        line[f"{prefix} gflops"] = f"{cost.gflops:.6f}" if cost else ""
        seconds = cost.train_seconds if cost else None
        line[f"{prefix} train_seconds"] = "" if seconds is None else f"{seconds:.1f}"
        line[f"{prefix} device"] = spreadsheet_cell(cost.device) if cost else ""
    line[f"{prefix} note"] = "; ".join(summary.reasons) if summary else ""
    return line
