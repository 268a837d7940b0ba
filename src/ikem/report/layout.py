"""The layout of the table of an evaluation, whatever form it is then written in.

The first section shows every split next to the others; a section for each split adds interval, gain, published value
and cost; the last one lists what others published. Rows stand in blocks of equal numbers of streams and equal encoders,
and only within a block is one row better than another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean

from ikem.report.costs import Cost
from ikem.report.labels import Naming, streams_title
from ikem.report.literature import Published, published_lines, published_value
from ikem.report.records import duration
from ikem.report.results import MODALITIES, Missing, Row, clean, streams_order
from ikem.report.summary import Cell, Summary, summarize
from ikem.report.table_parts import DAGGER, DOUBLE_DAGGER, Block, Entry, Section, Split, Table


def evaluations_of(rows: Iterable[Row], missing: Iterable[Missing], naming: Naming) -> list[str]:
    """The evaluations of a long table, in order."""
    return naming.ordered_evaluations([*(row.evaluation for row in rows), *(gap.evaluation for gap in missing)])


def lay_out(
    rows: Sequence[Row],
    missing: Sequence[Missing],
    evaluation: str,
    naming: Naming,
    costs: Mapping[Cell, Cost] | None = None,
) -> Table:
    """Lay out the table of one evaluation."""
    summaries = summarize(rows, missing, evaluation)
    splits = tuple(naming.ordered_splits(cell.split for cell in summaries))
    published = {
        cell: value
        for cell in summaries
        if not cell.condition
        and (value := published_value(naming, cell.method, cell.streams, cell.dataset, cell.protocol, evaluation))
    }
    builder = _Builder(naming, splits, summaries, published, costs or {})
    sections = [
        builder.overview(),
        *(builder.details(split) for split in splits if len(split) == 2),
        *builder.others(evaluation),
    ]
    return Table(
        evaluation=evaluation,
        title=naming.evaluation(evaluation),
        caption=_caption(summaries.values()),
        sections=tuple(section for section in sections if section.blocks),
        footnotes=tuple(builder.footnotes),
        legend=_legend(summaries, splits, naming),
        sources=tuple(naming.sources_of(naming.ordered_methods(cell.method for cell in summaries), evaluation)),
        splits=splits,
        summaries=summaries,
        published=published,
        costs=costs or {},
    )


def ordered_lines(cells: Iterable[Cell], naming: Naming) -> list[tuple[str, str]]:
    """The different (method, streams) by method, fusions after single modalities."""
    lines = {(cell.method, cell.streams) for cell in cells}
    methods = naming.ordered_methods(method for method, _ in lines)
    return sorted(lines, key=lambda line: (methods.index(line[0]), streams_order(line[1])))


def gain_of(summaries: Mapping[Cell, Summary], cell: Cell, naming: Naming) -> float | None:
    """Top-1 of a cell minus that of the first baseline with its streams, encoder and split, in points.

    Both means are over the runs that both have.
    """
    ours, encoder = summaries.get(cell), naming.encoders.get(cell.method)
    for name in naming.baselines:
        theirs = summaries.get(replace(cell, method=name))
        if theirs and theirs.runs and naming.encoders.get(name) == encoder:
            if ours is None or name == cell.method:
                return None
            pairs = [(top1, theirs.runs[run]) for run, top1 in ours.runs.items() if run in theirs.runs]
            return fmean(one for one, _ in pairs) - fmean(other for _, other in pairs) if pairs else None
    return None


class _Builder:
    """Sections of one table; collects its footnotes on the way."""

    def __init__(
        self,
        naming: Naming,
        splits: tuple[Split, ...],
        summaries: Mapping[Cell, Summary],
        published: Mapping[Cell, Published],
        costs: Mapping[Cell, Cost],
    ) -> None:
        self.naming, self.splits, self.summaries, self.published = naming, splits, summaries, published
        self.costs = costs
        self.footnotes: list[str] = []
        self.groups = self._groups()
        self.ranks = {split: self._ranks(split) for split in splits}

    def overview(self) -> Section:
        """Every split next to the others."""
        blocks = []
        for title, lines in self.groups:
            grid = [(*self._words(line), *(self._entry(line, split) for split in self.splits)) for line in lines]
            blocks.append(Block(title, tuple(grid), tuple(lines)))
        header = ("Method", "Streams", *(self.naming.split(*split) for split in self.splits))
        note = "The best pretrained method of a block is bold, the second best underlined; single streams by modality."
        return Section("All splits", note + self._widths(), header, tuple(blocks), frozenset((0, 1)))

    def details(self, split: Split) -> Section:
        """One split, with interval, gain, published value and cost."""
        blocks = []
        for title, lines in self.groups:
            kept = [line for line in lines if (found := self.summaries.get(self._cell(line, split))) and found.runs]
            if kept:
                blocks.append(Block(title, tuple(self._detailed(line, split) for line in kept), tuple(kept)))
        header = ("Method", "Streams", "Top-1", "95 % interval", "Gain", "Published", "Parameters", "GFLOPs",
                  "Pretraining time", "Device")  # fmt: skip
        texts = {0, 1, 5, 9}
        texts_of = [{line[column].text for block in blocks for line in block.lines} for column in range(len(header))]
        devices = texts_of[-1] - {""}
        used = [column for column in range(len(header)) if column < 3 or texts_of[column] - {""}]
        note = self._counts(split)
        if texts_of[4] - {""}:
            baselines = " or ".join(map(self.naming.method, self.naming.baselines))
            note += f" Gain: over {baselines} with the same streams and seeds."
        if texts_of[5] - {""}:
            note += " Published: in brackets which epoch the source selected."
        if len(devices) == 1:
            note += f" Trained on: {min(devices)}."
            used = used[:-1]
        cut = tuple(
            replace(block, lines=tuple(tuple(line[column] for column in used) for line in block.lines))
            for block in blocks
        )
        return Section(
            self.naming.split(*split),
            note,
            tuple(header[column] for column in used),
            cut,
            frozenset(index for index, column in enumerate(used) if column in texts),
        )

    def others(self, evaluation: str) -> list[Section]:
        """What others published for the same cells."""
        splits = [(split[0], split[1]) for split in self.splits if len(split) == 2]
        lines = published_lines(self.naming, splits, evaluation, self.published.values())
        if not lines:
            return []
        splits = [split for split in splits if any(split in values for _, _, values in lines)]
        blocks: dict[str, list[tuple[Entry, ...]]] = {}
        for method, streams, values in lines:
            found = list(values.values())
            sources = "; ".join(dict.fromkeys(item.source for item in found))
            selections = "; ".join(dict.fromkeys(item.selection for item in found)) or "not stated"
            figures = [Entry(values[split].top1 if split in values else "") for split in splits]
            encoder = " ".join(part for part in (found[0].encoder, found[0].width) if part) or "not stated"
            work = Entry(clean(method), cite=found[0].work.key)
            line = (work, Entry(streams_title(streams)), Entry(encoder), *figures, Entry(selections), Entry(sources))
            known = set(streams.split("+")) <= set(MODALITIES)
            blocks.setdefault(count_title(streams) if known else "One encoder for several modalities", []).append(line)
        header = (
            "Method",
            "Streams",
            "Encoder",
            *(self.naming.split(*split) for split in splits),
            "Selection",
            "Source",
        )
        note = "Top-1 accuracy, percent, as their sources give it; none was run here."
        note += " IKEM's own published figures (arXiv 2309.12009) were not available to us."
        texts = frozenset((0, 1, 2, len(header) - 2, len(header) - 1))
        return [Section("Published by others", note, header,
                        tuple(Block(title, tuple(grid)) for title, grid in blocks.items()), texts)]  # fmt: skip

    def _groups(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """(title, lines) of each number of streams and encoder, most streams first; single streams by modality."""
        encoders = list(dict.fromkeys(self.naming.encoders.values()))

        def order(line: tuple[str, str]) -> tuple[int, int]:
            encoder = self.naming.encoders.get(line[0], "")
            return -len(line[1].split("+")) if line[1] else 1, encoders.index(encoder) if encoder else -1

        lines = sorted(ordered_lines(self.summaries, self.naming), key=order)
        groups = []
        for _, same in groupby(lines, order):
            members = list(same)
            if members[0][1] and "+" not in members[0][1]:
                members.sort(key=lambda line: streams_order(line[1]))
            title = count_title(members[0][1])
            encoder = self.naming.encoders.get(members[0][0], "")
            groups.append((f"{title}, {encoder}" if encoder else title, members))
        return groups

    def _widths(self) -> str:
        """What the two numbers of an encoder are, or empty if none has two."""
        shown = {self.naming.encoders.get(line[0], "") for _, lines in self.groups for line in lines}
        widths = sorted({width for title in shown if "/" in (width := title.rsplit(" ", 1)[-1])})
        note = f" {', '.join(widths)}: channels of the first blocks / dimension of the embedding."
        return note if widths else ""

    def _ranks(self, split: Split) -> dict[Cell, int]:
        """Best and second best mean (as shown) of each block; a method that is alone there is neither.

        Single streams are compared with those of the same modality only.
        """
        ranks: dict[Cell, int] = {}
        compared: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for title, lines in self.groups:
            for line in lines:
                compared.setdefault((title, line[1] if "+" not in line[1] else ""), []).append(line)
        for lines in compared.values():
            means = {}
            for line in lines:
                summary = self.summaries.get(self._cell(line, split))
                if summary and summary.top1 and line[0] not in self.naming.unranked:
                    means[self._cell(line, split)] = f"{summary.top1.mean:.2f}"
            order = sorted(set(means.values()), key=float, reverse=True)
            if len({cell.method for cell in means}) > 1:
                ranks |= {cell: order.index(mean) + 1 for cell, mean in means.items() if order.index(mean) < 2}
        return ranks

    def _words(self, line: tuple[str, str]) -> tuple[Entry, Entry]:
        return Entry(self.naming.method(line[0])), Entry(streams_title(line[1]))

    def _detailed(self, line: tuple[str, str], split: Split) -> tuple[Entry, ...]:
        cell = self._cell(line, split)
        summary, value, cost = self.summaries[cell], self.published.get(cell), self.costs.get(cell)
        gain = gain_of(self.summaries, cell, self.naming)
        shown = Entry("")
        if value:
            shown = Entry(
                f"{value.top1} ({value.selection.removesuffix(' epoch') or 'not stated'})", cite=value.work.key
            )
        return (
            *self._words(line),
            self._entry(line, split),
            Entry("{:.1f} to {:.1f}".format(*summary.interval) if summary.interval else ""),
            Entry("" if gain is None else f"{gain:+z.2f}"),
            shown,
            Entry(_large(cost.parameters) if cost else ""),
            Entry(f"{cost.gflops:.3g}" if cost else ""),
            Entry(duration(cost.train_seconds) if cost and cost.train_seconds is not None else ""),
            Entry(cost.device if cost else ""),
        )

    def _counts(self, split: Split) -> str:
        """Clips of a split, in a sentence."""
        found = [item for cell, item in self.summaries.items() if cell.split == split and item.runs]
        if not found:
            return ""
        train, test = max(pair for item in found for pair in item.clips)
        rejected = max(item.rejected_clips for item in found)
        return (
            f"{train} training clips, {test} test clips, {max(item.classes for item in found)} classes; "
            f"{rejected or 'no'} clip{'' if rejected == 1 else 's'} rejected."
        )

    def _cell(self, line: tuple[str, str], split: Split) -> Cell:
        return Cell(line[0], line[1], *split)

    def _entry(self, line: tuple[str, str], split: Split) -> Entry:
        cell = self._cell(line, split)
        summary = self.summaries.get(cell)
        if summary is None:
            return Entry("")
        notes = tuple(self._footnote(cell, reason) for reason in summary.reasons)
        if summary.top1 is None:
            return Entry("", notes=notes)
        return Entry(str(summary.top1), self.ranks[split].get(cell, 0), _symbols(summary), notes)

    def _footnote(self, cell: Cell, reason: str) -> int:
        location = f"{self.naming.method(cell.method)}, {self.naming.split(cell.dataset, cell.protocol)}"
        text = f"{location}, {clean(reason)}"
        if text not in self.footnotes:
            self.footnotes.append(text)
        return self.footnotes.index(text) + 1


_NUMBERS = ("No", "Single", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def count_title(streams: str) -> str:
    """`Three streams` for three modalities; without any, the method has no figures."""
    if not streams:
        return "No figures"
    count = len(streams.split("+"))
    return f"{_NUMBERS[count] if count < len(_NUMBERS) else count} stream{'s' if count > 1 else ''}"


def _large(number: int) -> str:
    """A number as a person says it: 12.3 k, 1.23 M."""
    return f"{number / 1e6:.3g} M" if number >= 1e6 else f"{number / 1e3:.3g} k" if number >= 1e3 else str(number)


def _caption(summaries: Iterable[Summary]) -> str:
    found = [summary for summary in summaries if summary.runs]
    if not found:
        return "No figures yet."
    seeds = _range([summary.seeds for summary in found], "seed")
    subsets = [summary.label_subsets for summary in found if summary.label_subsets]
    runs = f"{seeds} and {_range(subsets, 'label subset')}" if subsets else seeds
    measure = "Top-1 accuracy"
    if any(summary.best_epoch_top1 for summary in found):
        measure += " after the last epoch"
    if all(len(summary.runs) == 1 for summary in found):
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
