"""The layout of the table of an evaluation, whatever form it is then written in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ikem.report.labels import Naming, streams_title
from ikem.report.literature import Published, published_lines, published_value
from ikem.report.results import Missing, Row, clean, streams_order
from ikem.report.summary import Cell, Summary, summarize, widest

DAGGER, DOUBLE_DAGGER = "†", "‡"
"""Mark figures on data that are not the published number of clips, and on data of which clips were rejected."""

Split = tuple[str, ...]
"""(dataset, protocol) entries, and the condition of an evaluation that has some."""


@dataclass(frozen=True)
class Entry:
    """A place of a table: plain text with its marks.

    Attributes:
        text: what it says; empty where there is no figure.
        best: whether it is the best of its column.
        symbols: marks that the legend of the table explains.
        notes: numbers of its footnotes, from 1.
        interval: of a figure, over the clips tested; empty where there is none.
    """

    text: str
    best: bool = False
    symbols: str = ""
    notes: tuple[int, ...] = ()
    interval: str = ""

    @property
    def marks(self) -> str:
        """The marks as text, for instance `†[1][2]`."""
        return self.symbols + "".join(f"[{number}]" for number in self.notes)


@dataclass(frozen=True)
class Section:
    """A grid with a heading.

    Attributes:
        title, note: the heading and a sentence below it.
        header: titles of the columns.
        lines: entries, as many in each line as there are columns.
        texts: the columns, by number, that hold words (the others hold figures).
    """

    title: str
    note: str
    header: tuple[str, ...]
    lines: tuple[tuple[Entry, ...], ...]
    texts: frozenset[int]


@dataclass(frozen=True)
class Table:
    """The table of an evaluation.

    Attributes:
        evaluation: entry of the evaluation.
        title, caption: what it shows and over how many runs.
        sections: ours first, what others published last.
        footnotes: text of each footnote, the first is number 1.
        legend: what each symbol means that marks an entry.
        sources: where the methods and the evaluation were published.
        splits: the columns.
        summaries: what the sections show.
        published: values next to our cells.
    """

    evaluation: str
    title: str
    caption: str
    sections: tuple[Section, ...]
    footnotes: tuple[str, ...]
    legend: Mapping[str, str]
    sources: tuple[str, ...]
    splits: tuple[Split, ...]
    summaries: Mapping[Cell, Summary]
    published: Mapping[Cell, Published]


def evaluations_of(rows: Iterable[Row], missing: Iterable[Missing], naming: Naming) -> list[str]:
    """The evaluations of a long table, in order."""
    return naming.ordered_evaluations([*(row.evaluation for row in rows), *(gap.evaluation for gap in missing)])


def lay_out(rows: Sequence[Row], missing: Sequence[Missing], evaluation: str, naming: Naming) -> Table:
    """Lay out the table of one evaluation."""
    summaries = summarize(rows, missing, evaluation)
    splits = tuple(naming.ordered_splits(cell.split for cell in summaries))
    published = {
        cell: value
        for cell in summaries
        if not cell.condition
        and (value := published_value(naming, cell.method, cell.streams, cell.dataset, cell.protocol, evaluation))
    }
    builder = _Builder(naming, splits, summaries, published)
    sections = [*builder.ours(), *builder.others(evaluation)]
    return Table(
        evaluation=evaluation,
        title=naming.evaluation(evaluation),
        caption=_caption(summaries.values()),
        sections=tuple(sections),
        footnotes=tuple(builder.footnotes),
        legend=_legend(summaries, splits, naming),
        sources=tuple(naming.sources_of(naming.ordered_methods(cell.method for cell in summaries), evaluation)),
        splits=splits,
        summaries=summaries,
        published=published,
    )


def ordered_lines(cells: Iterable[Cell], naming: Naming) -> list[tuple[str, str]]:
    """The different (method, streams) by method, fusions after single modalities."""
    lines = {(cell.method, cell.streams) for cell in cells}
    methods = naming.ordered_methods(method for method, _ in lines)
    return sorted(lines, key=lambda line: (methods.index(line[0]), streams_order(line[1])))


class _Builder:
    """Sections of one table; collects its footnotes on the way."""

    def __init__(
        self,
        naming: Naming,
        splits: tuple[Split, ...],
        summaries: Mapping[Cell, Summary],
        published: Mapping[Cell, Published],
    ) -> None:
        self.naming, self.splits, self.summaries, self.published = naming, splits, summaries, published
        self.footnotes: list[str] = []

    def ours(self) -> list[Section]:
        """Each method with all its modalities, then each modality alone (unless that says nothing new)."""
        lines = ordered_lines(self.summaries, self.naming)
        headline = widest(self.summaries)
        fused = [line for line in lines if line[1].count("+") or headline[line[0]] == line[1]]
        single = sorted((line for line in lines if not line[1].count("+")), key=lambda line: streams_order(line[1]))
        if all(line in single for line in fused):
            fused = [line for line in fused if not line[1]]
        sections = []
        if fused:
            note = "Each method with all its modalities together."
            sections.append(self._section("Methods", note, fused, by_streams=False))
        if not all(line in fused for line in single):
            note = "The best of each modality is bold."
            sections.append(self._section("Each modality alone", note, single, by_streams=True))
        return sections

    def others(self, evaluation: str) -> list[Section]:
        """What others published for the same cells."""
        splits = [(split[0], split[1]) for split in self.splits if len(split) == 2]
        lines = published_lines(self.naming, splits, evaluation, self.published.values())
        if not lines:
            return []
        splits = [split for split in splits if any(split in values for _, _, values in lines)]
        grid = []
        for method, streams, values in lines:
            sources = "; ".join(dict.fromkeys(values[split].source for split in splits if split in values))
            figures = [Entry(values[split].top1 if split in values else "") for split in splits]
            grid.append((Entry(clean(method)), Entry(streams_title(streams)), *figures, Entry(clean(sources))))
        header = ("Method", "Streams", *(self.naming.split(*split) for split in splits), "Source")
        note = "Top-1 accuracy, percent, as their sources give it; none was run here."
        return [Section("Published by others", note, header, tuple(grid), frozenset((0, 1, len(header) - 1)))]

    def _section(self, title: str, note: str, lines: Sequence[tuple[str, str]], *, by_streams: bool) -> Section:
        best = {split: self._best(split, lines, by_streams) for split in self.splits}
        header = ["Streams", "Method"] if by_streams else ["Method", "Streams"]
        cited = {split: any(self._cell(line, split) in self.published for line in lines) for split in self.splits}
        for split in self.splits:
            header += [self.naming.split(*split)] + ["published"] * cited[split]
        grid = []
        for line in lines:
            words = [Entry(self.naming.method(line[0])), Entry(streams_title(line[1]))]
            entries = words[::-1] if by_streams else words
            for split in self.splits:
                entries.append(self._entry(line, split, best[split]))
                if cited[split]:
                    value = self.published.get(self._cell(line, split))
                    entries.append(Entry(value.top1 if value else ""))
            grid.append(tuple(entries))
        return Section(title, note, tuple(header), tuple(grid), frozenset((0, 1)))

    def _cell(self, line: tuple[str, str], split: Split) -> Cell:
        return Cell(line[0], line[1], *split)

    def _entry(self, line: tuple[str, str], split: Split, best: set[Cell]) -> Entry:
        cell = self._cell(line, split)
        summary = self.summaries.get(cell)
        if summary is None:
            return Entry("")
        notes = tuple(self._footnote(cell, reason) for reason in summary.reasons)
        if summary.top1 is None:
            return Entry("", notes=notes)
        interval = "{:.1f} to {:.1f}".format(*summary.interval or ())
        return Entry(str(summary.top1), best=cell in best, symbols=_symbols(summary), notes=notes, interval=interval)

    def _footnote(self, cell: Cell, reason: str) -> int:
        location = f"{self.naming.method(cell.method)}, {self.naming.split(cell.dataset, cell.protocol)}"
        text = f"{location}, {clean(reason)}"
        if text not in self.footnotes:
            self.footnotes.append(text)
        return self.footnotes.index(text) + 1

    def _best(self, split: Split, lines: Sequence[tuple[str, str]], by_streams: bool) -> set[Cell]:
        """Cells with the highest mean (as shown) of a split, or of each of its streams; one alone is not the best."""
        groups: dict[str, dict[Cell, str]] = {}
        for line in lines:
            cell = self._cell(line, split)
            summary = self.summaries.get(cell)
            if summary and summary.top1 and line[0] not in self.naming.unranked:
                group = groups.setdefault(line[1] if by_streams else "", {})
                group[cell] = f"{summary.top1.mean:.2f}"
        best: set[Cell] = set()
        for group in groups.values():
            highest = max(group.values(), key=float)
            best |= {cell for cell, mean in group.items() if mean == highest and len(group) > 1}
        return best


def _caption(summaries: Iterable[Summary]) -> str:
    found = [summary for summary in summaries if summary.values]
    if not found:
        return "No figures yet."
    seeds = _range([summary.seeds for summary in found], "seed")
    subsets = [summary.label_subsets for summary in found if summary.label_subsets]
    runs = f"{seeds} and {_range(subsets, 'label subset')}" if subsets else seeds
    measure = "Top-1 accuracy"
    if any(summary.best_epoch_top1 for summary in found):
        measure += " after the last epoch"
    if all(len(summary.values) == 1 for summary in found):
        return f"{measure}, percent; {runs}, so no deviation can be given."
    return f"{measure}, percent; mean ± standard deviation (n - 1) over {runs}."


def _range(numbers: Sequence[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    count = str(low) if low == high else f"{low} to {high}"
    return f"{count} {noun}{'' if high == 1 else 's'}"


def _symbols(summary: Summary) -> str:
    return DAGGER * (not summary.complete) + DOUBLE_DAGGER * bool(summary.rejected_clips)


def _legend(summaries: Mapping[Cell, Summary], splits: Iterable[Split], naming: Naming) -> dict[str, str]:
    incomplete, rejected = [], {}
    for split in splits:
        cells = [summary for cell, summary in summaries.items() if cell.split == split]
        clips = sorted({pair for summary in cells if not summary.complete for pair in summary.clips})
        if clips:
            numbers = ", ".join(f"{train} / {test}" for train, test in clips)
            incomplete.append(f"{naming.split(*split)} {numbers}")
        if most := max((summary.rejected_clips for summary in cells), default=0):
            rejected[naming.dataset(split[0])] = most
    legend = {}
    if incomplete:
        legend[DAGGER] = f"Not the published number of clips (here train / test): {'; '.join(incomplete)}."
    if rejected:
        counted = "; ".join(f"{dataset} {count}" for dataset, count in rejected.items())
        legend[DOUBLE_DAGGER] = f"Clips that could not be read are left out: {counted}. See data.md."
    return legend
