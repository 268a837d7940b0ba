"""Mean and standard deviation of each cell over its seeds and draws."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ikem.evaluations.metrics import METRICS
from ikem.report.results import Missing, Row, widest_streams
from ikem.report.statistics import accuracy_interval


@dataclass(frozen=True)
class Cell:
    """Which figures a mean is taken of.

    Attributes:
        method, streams, dataset, protocol, condition: as in results.csv; `condition` is empty where there is none.
    """

    method: str
    streams: str
    dataset: str
    protocol: str
    condition: str = ""

    @property
    def split(self) -> tuple[str, ...]:
        """The column: (dataset, protocol), and the condition if there is one."""
        return (self.dataset, self.protocol, self.condition) if self.condition else (self.dataset, self.protocol)


@dataclass(frozen=True)
class Figure:
    """Mean and sample standard deviation (n - 1), percent; the deviation of a single run is null."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Figure of one value or more."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.deviation is None else f"{self.mean:.2f} ± {self.deviation:.2f}"


@dataclass(frozen=True)
class Summary:
    """A cell of a table.

    Attributes:
        metrics: figures of the metrics that every run has, by name; none if no run is there.
        runs: top-1 of each run, percent, by seed and label subset (-1: the evaluation has none).
        seeds, label_subsets: numbers of different seeds and of label subsets (0: the evaluation has none).
        clips: different (train, test) numbers of clips.
        classes: number of classes, 0 if no run is there.
        complete: whether all runs saw the published number of clips.
        rejected_clips: how many clips of the dataset could not be read (the most of all runs).
        reasons: why runs are missing, with the seed.
    """

    metrics: Mapping[str, Figure]
    runs: Mapping[tuple[int, int], float]
    seeds: int
    label_subsets: int
    clips: tuple[tuple[int, int], ...]
    classes: int
    complete: bool
    rejected_clips: int
    reasons: tuple[str, ...]

    @property
    def top1(self) -> Figure | None:
        """The headline."""
        return self.metrics.get("top1")

    @property
    def best_epoch_top1(self) -> Figure | None:
        """Top-1 of the best test epochs."""
        return self.metrics.get("best_epoch_top1")

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the headline over the clips tested, percent."""
        return None if self.top1 is None else accuracy_interval(self.top1.mean, min(test for _, test in self.clips))


def summarize(rows: Iterable[Row], missing: Iterable[Missing], evaluation: str) -> dict[Cell, Summary]:
    """Summaries of one evaluation.

    What is missing is known by method, not by stream: its reason goes to each stream that the method has in any split,
    or to one without a name (`streams` empty) if the method has no figures at all. So it is with conditions.
    """
    groups: dict[Cell, list[Row]] = {}
    streams: dict[str, set[str]] = {}
    conditions: set[str] = set()
    for row in rows:
        if row.evaluation == evaluation:
            cell = Cell(row.method, row.streams, row.dataset, row.protocol, row.condition)
            groups.setdefault(cell, []).append(row)
            streams.setdefault(row.method, set()).add(row.streams)
            conditions.add(row.condition)
    reasons: dict[Cell, list[Missing]] = {}
    for gap in missing:
        if gap.evaluation == evaluation:
            for stream, condition in itertools.product(
                sorted(streams.get(gap.method, {""})), sorted(conditions or {""})
            ):
                cell = Cell(gap.method, stream, gap.dataset, gap.protocol, condition)
                # Another entry of the config may have this stream of the row, and may have measured it.
                if all(row.seed != gap.seed for row in groups.get(cell, ())):
                    reasons.setdefault(cell, []).append(gap)
    return {
        cell: _summary(groups.get(cell, []), reasons.get(cell, [])) for cell in sorted({*groups, *reasons}, key=_order)
    }


def widest(cells: Iterable[Cell]) -> dict[str, str]:
    """For each method the streams with the most modalities (among equals the first in order): its headline."""
    streams: dict[str, set[str]] = {}
    for cell in cells:
        streams.setdefault(cell.method, set()).add(cell.streams)
    return {method: widest_streams(names) for method, names in streams.items()}


def _order(cell: Cell) -> tuple[str, ...]:
    return cell.method, cell.streams, cell.dataset, cell.protocol, cell.condition


def _summary(rows: Sequence[Row], gaps: Sequence[Missing]) -> Summary:
    ordered = sorted(rows, key=_run)
    names = [name for name in METRICS if ordered and all(name in row.metrics for row in ordered)]
    return Summary(
        metrics={name: Figure.of([row.metrics[name] for row in ordered]) for name in names},
        runs={_run(row): row.metrics["top1"] for row in ordered},
        seeds=len({row.seed for row in ordered}),
        label_subsets=len({row.label_subset for row in ordered if row.label_subset is not None}),
        clips=tuple(sorted({(row.train_clips, row.test_clips) for row in ordered})),
        classes=max((row.classes for row in ordered), default=0),
        complete=all(row.complete for row in ordered),
        rejected_clips=max((row.rejected_clips or 0 for row in ordered), default=0),
        reasons=_reasons(gaps),
    )


def _run(row: Row) -> tuple[int, int]:
    return row.seed, -1 if row.label_subset is None else row.label_subset


def _reasons(gaps: Sequence[Missing]) -> tuple[str, ...]:
    seeds: dict[str, set[int]] = {}
    for gap in gaps:
        seeds.setdefault(gap.reason, set()).add(gap.seed)
    return tuple(
        f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}: {reason}"
        for reason, numbers in sorted(seeds.items())
    )
