"""One page of all accepted submissions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from tabulate import tabulate

from ikem.errors import InputError
from ikem.files import write_text
from ikem.report.labels import streams_title
from ikem.report.markdown import escape
from ikem.report.results import clean
from ikem.submission.check import Verdict, check

HEADLINE = "top1"


@dataclass(frozen=True)
class _Line:
    """A method of a submission in one table; `values` are its top-1 over seeds and label subsets."""

    table: str
    method: str
    streams: str
    values: tuple[float, ...]
    submission: str

    @property
    def shown(self) -> str:
        deviation = f" ± {stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{mean(self.values):.2f}{deviation}"


def write_leaderboard(folder: Path, page: Path) -> int:
    """Check every submission of a folder again, and write a page in Markdown; returns their number.

    Raises:
        InputError: there is none, or one is not accepted.
    """
    paths = sorted(folder.glob("*.zip"))
    if not paths:
        raise InputError("holds no submission", location=str(folder), hint="Put accepted submissions (*.zip) there")
    lines: list[_Line] = []
    for path in paths:
        verdict = check(path)
        if not verdict.accepted:
            hint = f"Run `python -m ikem check {path}` for what is wrong, and remove it"
            raise InputError("is not accepted", location=str(path), hint=hint)
        lines += _lines(verdict)
    tables = dict.fromkeys(sorted(line.table for line in lines))
    text = "# Leaderboard\n\nTop-1 accuracy in percent, recomputed from the scores of every test clip; mean ± standard "
    text += "deviation where there are several runs.\n"
    for table in tables:
        rows = sorted((line for line in lines if line.table == table), key=lambda line: -mean(line.values))
        cells = [(line.method, line.streams, line.shown, len(line.values), line.submission) for line in rows]
        headers = ["Method", "Streams", "Top-1", "Runs", "Submission"]
        text += f"\n## {table}\n\n{tabulate(cells, headers, tablefmt='pipe', disable_numparse=True)}\n"
    write_text(page, text)
    return len(paths)


def _lines(verdict: Verdict) -> Iterator[_Line]:
    claim, naming = verdict.claim, verdict.naming
    values: dict[tuple[str, ...], list[float]] = {}
    for figure in verdict.figures:
        row = figure.row
        if figure.metric == HEADLINE and figure.recomputed is not None:
            key = row.dataset, row.protocol, row.condition, row.evaluation, row.method, row.streams
            values.setdefault(key, []).append(figure.recomputed)
    about = escape(clean(f"{claim.title}, {claim.authors}"))
    if claim.link.startswith(("https://", "http://")) and not set(claim.link) & set(" ()<>\n"):
        about = f"[{about}]({claim.link})"
    for (dataset, protocol, condition, evaluation, method, streams), found in values.items():
        table = f"{naming.evaluation(evaluation)}: {naming.split(dataset, protocol, condition)}"
        yield _Line(escape(table), escape(naming.method(method)), streams_title(streams), tuple(found), about)
