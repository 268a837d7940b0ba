"""Published accuracies: `published_results.csv` next to this file, each with its source."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from ikem.report.labels import Naming


@dataclass(frozen=True)
class Published:
    """A published top-1 accuracy.

    Attributes:
        method, streams, dataset, protocol, evaluation: as the file calls them.
        top1: percent, in the digits of the source.
        source: where it was published.
    """

    method: str
    streams: str
    dataset: str
    protocol: str
    evaluation: str
    top1: str
    source: str


@functools.cache
def published_results() -> tuple[Published, ...]:
    """All published accuracies, in the order of the file."""
    text = resources.files("ikem.report").joinpath("published_results.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            line["method"],
            line["streams"],
            line["dataset"],
            line["protocol"],
            line["evaluation"],
            line["top1_percent"],
            "; ".join(part for part in (line["source"], line["note"]) if part),
        )
        for line in csv.DictReader(text.splitlines())
    )


def published_value(
    naming: Naming, method: str, streams: str, dataset: str, protocol: str, evaluation: str
) -> Published | None:
    """What is published for one of our cells: the same method, streams, data, split and evaluation; else null."""
    name = naming.published_as.get(method)
    wanted = (name, streams, naming.published_dataset(dataset), protocol, naming.published_evaluation(evaluation))
    return next((item for item in published_results() if _key(item) == wanted), None)


def published_lines(
    naming: Naming, splits: Iterable[tuple[str, str]], evaluation: str, shown: Iterable[Published]
) -> list[tuple[str, str, dict[tuple[str, str], Published]]]:
    """What others published for the same data, splits and evaluation.

    Args:
        naming: how our entries are called there.
        splits: our (dataset, protocol) pairs.
        evaluation: our entry.
        shown: what is shown next to our own rows already.

    Returns:
        (method, streams, value of each of our splits) in the order of the file.
    """
    left_out = set(shown)
    lines: dict[tuple[str, str], dict[tuple[str, str], Published]] = {}
    for item in published_results():
        for split in splits:
            cell = (naming.published_dataset(split[0]), split[1], naming.published_evaluation(evaluation))
            if cell == (item.dataset, item.protocol, item.evaluation) and item not in left_out:
                lines.setdefault((item.method, item.streams), {})[split] = item
    return [(method, streams, values) for (method, streams), values in lines.items()]


def _key(item: Published) -> tuple[str | None, ...]:
    return item.method, item.streams, item.dataset, item.protocol, item.evaluation
