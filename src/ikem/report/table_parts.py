"""What a table consists of, before it is written in any form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ikem.report.costs import Cost
from ikem.report.literature import Published
from ikem.report.summary import Cell, Summary

DAGGER, DOUBLE_DAGGER = "†", "‡"
"""Mark figures on data that are not the published number of clips, and on data of which clips were rejected."""

Split = tuple[str, ...]
"""(dataset, protocol) entries, and the condition of an evaluation that has some."""


@dataclass(frozen=True)
class Entry:
    """What a table shows in one row and column: plain text with its marks.

    Attributes:
        text: what it says; empty where there is no figure.
        rank: 1: the best of its column and block, 2: the second best, 0: neither, or alone.
        symbols: marks that the legend of the table explains.
        notes: numbers of its footnotes, from 1.
        cite: key of the work that it is from, or empty.
    """

    text: str
    rank: int = 0
    symbols: str = ""
    notes: tuple[int, ...] = ()
    cite: str = ""

    @property
    def marks(self) -> str:
        """The marks as text, for instance `†[1][2]`."""
        return self.symbols + "".join(f"[{number}]" for number in self.notes)


@dataclass(frozen=True)
class Block:
    """Rows that are compared with each other.

    Attributes:
        title: what they have in common.
        lines: entries, as many in each line as there are columns.
        keys: (method entry, streams) of each line, where the lines are of methods of the config.
    """

    title: str
    lines: tuple[tuple[Entry, ...], ...]
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Section:
    """A grid with a heading.

    Attributes:
        title, note: the heading and a sentence below it.
        header: titles of the columns.
        blocks: the rows.
        texts: the columns, by number, that hold words (the others hold figures).
    """

    title: str
    note: str
    header: tuple[str, ...]
    blocks: tuple[Block, ...]
    texts: frozenset[int]

    @property
    def lines(self) -> tuple[tuple[Entry, ...], ...]:
        """The rows of all blocks."""
        return tuple(line for block in self.blocks for line in block.lines)


@dataclass(frozen=True)
class Table:
    """The table of an evaluation.

    Attributes:
        evaluation: entry of the evaluation.
        title, caption: what it shows and over how many runs.
        sections: all splits, each split, and what others published.
        footnotes: text of each footnote, the first is number 1.
        legend: what each symbol means that marks an entry.
        sources: where the methods and the evaluation were published.
        splits: the columns.
        summaries: what the sections show.
        published: values next to our cells.
        costs: of our cells.
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
    costs: Mapping[Cell, Cost]
