"""One page of all accepted submissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from tabulate import tabulate

from ikem.errors import InputError
from ikem.files import write_text
from ikem.report.labels import streams_title
from ikem.report.layout import count_title
from ikem.report.markdown import escape
from ikem.report.results import clean, streams_order
from ikem.report.table_parts import DAGGER
from ikem.submission.check import Figure, Verdict, check

HEADLINE = "top1"


@dataclass(frozen=True)
class _Line:
    """A method of a submission in one table; `values` are its top-1 over seeds and label subsets. Lines of a block have
    equally many streams (a single one: the same) and the same encoder; those of a table the same test clips, which
    `clips` is a digest of.
    """

    table: str
    clips: str
    count: int
    complete: bool
    block: str
    method: str
    streams: str
    values: tuple[float, ...]
    submission: str

    @property
    def shown(self) -> str:
        deviation = f" ± {stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{mean(self.values):.2f}{deviation}{'' if self.complete else DAGGER}"


def write_leaderboard(folder: Path, page: Path) -> int:
    """Check every submission of a folder again, and write a page in Markdown; returns their number.

    Raises:
        InputError: there is none, one is not accepted, or two have the same title and authors.
    """
    paths = sorted(folder.glob("*.zip"))
    if not paths:
        raise InputError("holds no submission", location=str(folder), hint="Put accepted submissions (*.zip) there")
    lines: list[_Line] = []
    named: dict[tuple[str, str], Path] = {}
    for path in paths:
        verdict = check(path)
        if not verdict.accepted:
            hint = f"Run `python -m ikem check {path}` for what is wrong, and remove it"
            raise InputError("is not accepted", location=str(path), hint=hint)
        first = named.setdefault((verdict.claim.title, verdict.claim.authors), path)
        if first != path:
            hint = "Remove one of them, or pack one again with another title"
            raise InputError(f"has the title and the authors of {first.name}", location=str(path), hint=hint)
        lines += _lines(verdict)
    text = "# Leaderboard\n\nTop-1 accuracy in percent, recomputed from the scores of every test clip; mean ± standard "
    text += (
        "deviation where there are several runs. Only rows of one block are compared: they have equally many streams "
    )
    text += "(a single one: the same) and the same encoder. Untrained encoders (Random) and supervised ones are the "
    text += "floor and the ceiling of a block.\n"
    if not all(line.complete for line in lines):
        text += f"{DAGGER}: not on the published number of clips.\n"
    headers = ["Method", "Streams", "Top-1", "Runs", "Submission"]
    for table, members in _tables(lines):
        text += f"\n## {table}\n"
        for block in dict.fromkeys(line.block for line in sorted(members, key=_order)):
            # Entries that share a training (`skeletonclr` with three and six streams) have the same single streams.
            rows = dict.fromkeys(line for line in members if line.block == block)
            cells = [
                (line.method, streams_title(line.streams), line.shown, len(line.values), line.submission)
                for line in sorted(rows, key=lambda line: -mean(line.values))
            ]
            align = ("left", "left", "right", "right", "left")
            grid = tabulate(cells, headers, tablefmt="pipe", disable_numparse=True, colalign=align)
            text += f"\n### {block}\n\n{grid}\n"
    write_text(page, text)
    return len(paths)


def _tables(lines: Sequence[_Line]) -> Iterator[tuple[str, list[_Line]]]:
    """Title and lines of each table. Results on other test clips are another one, whose title says which clips."""
    for table in sorted({line.table for line in lines}):
        parts: dict[str, list[_Line]] = {}
        for line in lines:
            if line.table == table:
                parts.setdefault(line.clips, []).append(line)
        for part in sorted(parts.values(), key=lambda part: -part[0].count):
            which = f", the {part[0].count} test clips of {part[0].submission}" if len(parts) > 1 else ""
            yield table + which, part


def _order(line: _Line) -> tuple[int, tuple[int, ...], str]:
    """Most streams first; single ones in the order of `MODALITIES`."""
    count, modalities = streams_order(line.streams)
    return -count, modalities if count == 1 else (), line.block


def _lines(verdict: Verdict) -> Iterator[_Line]:
    claim, naming = verdict.claim, verdict.naming
    rows: dict[tuple[str, ...], list[Figure]] = {}
    for figure in verdict.figures:
        row = figure.row
        if figure.metric == HEADLINE and figure.recomputed is not None:
            key = row.dataset, row.protocol, row.condition, row.evaluation, row.method, row.streams
            rows.setdefault(key, []).append(figure)
    about = escape(clean(f"{claim.title}, {claim.authors}"))
    if claim.link.startswith(("https://", "http://")) and not set(claim.link) & set(" ()<>\n"):
        about = f"[{about}]({claim.link})"
    for (dataset, protocol, condition, evaluation, method, streams), found in rows.items():
        table = f"{naming.evaluation(evaluation)}: {naming.split(dataset, protocol, condition)}"
        kind = count_title(streams) if "+" in streams else streams_title(streams).capitalize()
        block = f"{kind}, {naming.encoders[method]}"
        yield _Line(
            escape(table),
            verdict.clips[dataset, protocol, evaluation],
            found[0].row.test_clips,
            all(figure.row.complete for figure in found),
            escape(block),
            escape(naming.method(method)),
            streams,
            tuple(figure.recomputed for figure in found if figure.recomputed is not None),
            about,
        )
