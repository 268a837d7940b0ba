"""Methods compared with a baseline and with the best, clip by clip and run by run: comparisons.csv and comparisons.md.

Like is compared with like: results on the same clips, of encoders with the same options, from equally many streams.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError
from ikem.evaluations.metrics import METRICS
from ikem.evaluations.scores import Scores, read_scores, row_key, scores_path
from ikem.files import canonical_json, write_text
from ikem.report.labels import Naming, streams_title
from ikem.report.results import Row, read_rows, streams_order
from ikem.report.statistics import holm, mcnemar, paired_bootstrap, paired_runs
from ikem.report.table_parts import Block, Entry, Section, Table
from ikem.report.tables import as_markdown
from ikem.settings.benchmark import Comparisons, Config
from ikem.workflow.plan import Plan

logger = logging.getLogger("ikem")

Column = tuple[str, str, str, str]
"""(dataset, protocol, evaluation, condition)."""

Run = tuple[int, int]
"""(seed, label subset); the subset is -1 where the evaluation has none."""

_SHARES = {"top1": 1, "top5": 5}
"""Metrics that are a share of clips, and among how many of the highest scores the class has to be."""


@dataclass(frozen=True)
class Result:
    """What a method did on each clip: a line of a table, in one column.

    Attributes:
        column: where it stands.
        method, streams: entry of the method; one modality, or those that are fused.
        right: for each run whether each of the clips is right.
    """

    column: Column
    method: str
    streams: str
    right: Mapping[Run, NDArray[np.bool_]]

    @cached_property
    def accuracies(self) -> dict[Run, float]:
        """Percent, of each run."""
        return {run: 100 * float(right.mean()) for run, right in self.right.items()}


@dataclass(frozen=True)
class Comparison:
    """One method against another in one column; a line of comparisons.csv.

    Attributes:
        dataset, protocol, evaluation, condition, metric: the column.
        method, streams: what is compared.
        against: "baseline" or "best".
        other, other_streams: the method it is compared with.
        runs: how many runs both have.
        value, other_value: means over these runs, percent.
        difference, low, high: of the means, percent points, with its interval over the clips.
        test: what the p-value is of.
        p, corrected_p: before and after the correction for the number of comparisons.
        verdict: "better", "worse" or "no difference shown".
    """

    dataset: str
    protocol: str
    evaluation: str
    condition: str
    metric: str
    method: str
    streams: str
    against: str
    other: str
    other_streams: str
    runs: int
    value: float
    other_value: float
    difference: float
    low: float
    high: float
    test: str
    p: float
    corrected_p: float
    verdict: str


def write_comparisons(plan: Plan, folder: Path, naming: Naming, outputs: Iterable[Path]) -> Table:
    """Write comparisons.csv and comparisons.md.

    Args:
        plan: all jobs.
        folder: of the tables.
        naming: titles and order.
        outputs: files of the evaluation jobs that can be used.

    Returns:
        What comparisons.md shows.

    Raises:
        InputError: scores are damaged, or results of one column are not of the same clips.
    """
    found: list[Comparison] = []
    for (_, metric), results in _columns(plan, set(outputs), naming):
        found += compare(results, metric, plan.config, naming)
    found.sort(key=lambda one: (one.evaluation, one.dataset, one.protocol, list(METRICS).index(one.metric)))
    write_text(folder / "comparisons.csv", as_csv(found))
    table = lay_out(found, naming, plan.config.comparisons)
    write_text(folder / "comparisons.md", as_markdown(table))
    return table


def compare(results: Sequence[Result], metric: str, config: Config, naming: Naming) -> list[Comparison]:
    """Compare the results of one column: each with the baseline and with the best of its like, but not with itself.

    Args:
        results: of one column and metric.
        metric: name.
        config: methods, recipes and `comparisons`.
        naming: the baselines, and the methods that are never the best, and not compared with it.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault(_like(result, config), []).append(result)
    found: list[Comparison] = []
    for _, group in sorted(groups.items(), key=lambda item: (streams_order(item[1][0].streams), item[0])):
        ranked = [result for result in group if result.method not in naming.unranked]
        best = max(ranked, key=lambda result: np.mean([*result.accuracies.values()]), default=None)
        baselines = [(one, _baseline(one, group, naming.baselines)) for one in group]
        for against, couples in (("baseline", baselines), ("best", [(one, best) for one in ranked])):
            pairs = [
                _compare(one, other, against, metric, config.comparisons)
                for one, other in couples
                if other is not None and other.method != one.method
            ]
            found += _corrected([pair for pair in pairs if pair is not None], config.comparisons.level)
    return found


def _baseline(one: Result, group: Sequence[Result], names: Sequence[str]) -> Result | None:
    """The first baseline that there is; of its fusions that of the same streams, else the first."""
    for name in names:
        if found := [other for other in group if other.method == name]:
            return next((other for other in found if other.streams == one.streams), found[0])
    return None


def _like(result: Result, config: Config) -> tuple[str, str]:
    """What two results must have in common to be compared: the stream, or the number of fused ones, and the encoder."""
    count = result.streams.count("+")
    encoder = config.recipes[config.methods[result.method].recipe].encoder.model_dump(mode="json")
    return str(count + 1) if count else result.streams, canonical_json(encoder)


def _compare(one: Result, other: Result, against: str, metric: str, settings: Comparisons) -> Comparison | None:
    """The comparison, not yet corrected; None if they have no run in common."""
    runs = sorted(set(one.right) & set(other.right))
    if not runs:
        return None
    differences = np.mean([one.right[run].astype(np.int8) - other.right[run] for run in runs], axis=0)
    low, high = paired_bootstrap(100 * differences, settings.level, settings.resamples)
    value, other_value = (float(np.mean([result.accuracies[run] for run in runs])) for result in (one, other))
    test, p = _test(one, other, runs)
    return Comparison(
        *one.column, metric, one.method, one.streams, against, other.method, other.streams, len(runs),
        value, other_value, value - other_value, low, high, test, p, p, "",
    )  # fmt: skip


def _test(one: Result, other: Result, runs: Sequence[Run]) -> tuple[str, float]:
    """Over seeds if there are several: runs of a seed share its pretraining, so their mean counts. Else over label
    subsets; and of a single run over clips.
    """
    if len(runs) == 1:
        return "McNemar", mcnemar(one.right[runs[0]], other.right[runs[0]])
    by_seed = len({seed for seed, _ in runs}) > 1
    units: dict[int, list[Run]] = {}
    for run in runs:
        units.setdefault(run[0] if by_seed else run[1], []).append(run)
    means = [
        [float(np.mean([result.accuracies[run] for run in unit])) for unit in units.values()] for result in (one, other)
    ]
    return f"paired t, {len(units)} {'seeds' if by_seed else 'label subsets'}", paired_runs(*means)


def _corrected(comparisons: Sequence[Comparison], level: float) -> Iterator[Comparison]:
    """Holm's correction over comparisons that a reader sees side by side. A difference is shown if another training
    and other clips would both show it.
    """
    for one, p in zip(comparisons, holm([one.p for one in comparisons]), strict=True):
        shown = p < level and not one.low <= 0 <= one.high
        verdict = ("better" if one.difference > 0 else "worse") if shown else "no difference shown"
        yield replace(one, corrected_p=p, verdict=verdict)


def _columns(plan: Plan, usable: set[Path], naming: Naming) -> Iterator[tuple[tuple[Column, str], list[Result]]]:
    """The results of each (column, metric)."""
    cells: dict[tuple[str, str, str], list[tuple[str, Path]]] = {}
    without: list[str] = []
    for evaluation, keys, job in plan.cells():
        if job.output not in usable:
            continue
        if not scores_path(job.output).exists():
            without.append(job.title)
            continue
        cells.setdefault((keys["dataset"], keys["protocol"], evaluation), []).append((keys["method"], job.output))
    if without:
        logger.warning("%d results are not compared, no scores were kept with them: %s", len(without), without[0])
    for (dataset, protocol, evaluation), files in cells.items():
        first: Scores | None = None
        right: dict[tuple[str, str, str, str], dict[Run, NDArray[np.bool_]]] = {}
        for method, path in files:
            scores = read_scores(path)
            first = first or scores
            if scores.names != first.names or (scores.labels != first.labels).any():
                raise InputError("is of other clips than the results it is compared with", location=str(path))
            for row in read_rows(path):
                for metric, hits in _hits(scores, row).items():
                    run = row.seed, -1 if row.label_subset is None else row.label_subset
                    key = row.condition, metric, naming.row(method), row.streams
                    right.setdefault(key, {}).setdefault(run, hits)
        results: dict[tuple[Column, str], list[Result]] = {}
        for (condition, metric, method, streams), runs in right.items():
            column = dataset, protocol, evaluation, condition
            results.setdefault((column, metric), []).append(Result(column, method, streams, runs))
        yield from results.items()


def _hits(scores: Scores, row: Row) -> dict[str, NDArray[np.bool_]]:
    """For each metric whether each clip is right; of equal scores the class of lower number comes first."""
    ranked = np.argsort(-scores.scores[row_key(row.streams, row.label_subset, row.condition)], axis=1, kind="stable")
    hit = ranked == scores.labels[:, None]
    return {metric: hit[:, :count].any(axis=1) for metric, count in _SHARES.items()}


def as_csv(comparisons: Iterable[Comparison]) -> str:
    """A line for each comparison; percent and percent points with four decimals."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Comparison)], lineterminator="\n")
    writer.writeheader()
    for one in comparisons:
        values = asdict(one)
        decimals = ("value", "other_value", "difference", "low", "high")
        written = {name: f"{values[name]:z.4f}" for name in decimals} | {
            name: f"{values[name]:.4g}" for name in ("p", "corrected_p")
        }
        writer.writerow(values | written)
    return stream.getvalue()


def lay_out(comparisons: Sequence[Comparison], naming: Naming, settings: Comparisons) -> Table:
    """The comparisons of top-1, a grid for each column and kind of streams."""
    grids: dict[str, dict[str, list[tuple[Entry, ...]]]] = {}
    for one in comparisons:
        if one.metric != "top1":
            continue
        column = f"{naming.evaluation(one.evaluation)}, {naming.split(one.dataset, one.protocol, one.condition)}"
        count = one.streams.count("+") + 1
        group = f"{count} streams" if count > 1 else streams_title(one.streams)
        interval = f"{one.difference:+z.2f} ({one.low:+z.2f} to {one.high:+z.2f})"
        texts = (
            naming.method(one.method), f"{one.value:.2f}", f"{one.against}: {naming.method(one.other)}", interval,
            f"{one.corrected_p:.2g}", one.test, one.verdict,
        )  # fmt: skip
        grids.setdefault(column, {}).setdefault(group, []).append(tuple(Entry(text) for text in texts))
    texts_of = frozenset((0, 2, 5, 6))
    header = ("Method", "Top-1", "Against", "Difference", "p", "Test", "Verdict")
    sections = tuple(
        Section(column, "", header, tuple(Block(group, tuple(lines)) for group, lines in groups.items()), texts_of)
        for column, groups in grids.items()
    )
    percent = f"{100 * (1 - settings.level):g} %"
    caption = (
        f"Differences of top-1 in percent points, with their {percent} interval over clips (paired bootstrap). p is "
        f"corrected for the comparisons with the same result (Holm). A method is better or worse if p is below "
        f"{settings.level:g} and the interval does not contain 0."
    )
    caption = caption if sections else "Nothing to compare: no two methods have the same encoder and as many streams."
    return Table("comparisons", "Comparisons", caption, sections, (), {}, (), (), {}, {}, {})
