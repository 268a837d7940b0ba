"""What checking a submission found, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ikem.evaluations.metrics import METRICS
from ikem.report.results import clean
from ikem.submission.check import Figure, Verdict


def show_verdict(verdict: Verdict) -> None:
    """Print a line for each figure: what is claimed, what was recomputed; then what else is wrong, and the verdict."""
    claim = verdict.claim
    console = Console(soft_wrap=True)
    console.print(escape(clean(f"{claim.title}, {claim.authors}")))
    table = Table("row", "metric", "claimed", "recomputed", "", box=None)
    for figure in verdict.figures:
        table.add_row(*(escape(cell) for cell in _cells(figure)))
    console.print(table)
    for problem in verdict.problems:
        console.print(escape(clean(problem)), style="red")
    agreeing = sum(figure.agrees for figure in verdict.figures)
    untested = sum(figure.recomputed is None for figure in verdict.figures)
    console.print(
        f"{len(verdict.figures)} figures: {agreeing} agree, {len(verdict.figures) - agreeing - untested} do not, "
        f"{untested} do not follow from the scores. {'Accepted' if verdict.accepted else 'Not accepted'}"
    )


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    row = figure.row
    parts = [row.dataset, row.protocol, row.method, row.evaluation, row.streams, f"seed {row.seed}"]
    parts += [] if row.label_subset is None else [f"label subset {row.label_subset}"]
    parts += [row.condition] if row.condition else []
    if figure.recomputed is None:
        recomputed, mark = "", "not checked"
    else:
        recomputed, mark = f"{figure.recomputed:.4f}", "" if figure.agrees else "differs"
    return clean(" ".join(parts)), METRICS[figure.metric].title, f"{figure.claimed:.4f}", recomputed, mark
