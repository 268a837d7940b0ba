"""Published accuracies, each with its source, and the works they were published in.

Files next to this one: `published_results.csv` has a line for each accuracy, `published_methods.csv` the encoder of
each method, `published_works.csv` the paper and the code, `published_authors.csv` the full names of authors where they
are known. docs/published.md says how disagreements were resolved.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from ikem.registry import Source
from ikem.report.labels import Naming


@dataclass(frozen=True)
class Published:
    """A published top-1 accuracy.

    Attributes:
        method, streams, dataset, protocol, evaluation: as the file calls them.
        top1: percent, in the digits of the source.
        selection: which epoch or head the source prints; empty: not stated there.
        source: where it was found.
        note: what else is known of it.
        doubt: where sources disagree, and why this value is kept.
        encoder, width, frames: of the method; empty: not stated.
        work: the paper; a title equal to the method's name: the paper's is not known to us.
        code, licence: of the published implementation; "none": the repository has no licence file.
    """

    method: str
    streams: str
    dataset: str
    protocol: str
    evaluation: str
    top1: str
    selection: str
    source: str
    note: str
    doubt: str
    encoder: str
    width: str
    frames: str
    work: Source
    code: str
    licence: str


@functools.cache
def published_results() -> tuple[Published, ...]:
    """All published accuracies, in the order of the file."""
    methods = {line["method"]: line for line in _lines("published_methods.csv")}
    works = {line["work"]: line for line in _lines("published_works.csv")}
    found = []
    for line in _lines("published_results.csv"):
        method = methods[line["method"]]
        work = works[method["work"]]
        source = Source(
            authors=work["authors"],
            title=work["title"] or line["method"],
            venue=work["venue"],
            year=int(work["year"] or 0),
            arxiv=work["arxiv"],
            doi=work["doi"],
        )
        encoder = {name: method[name] for name in ("encoder", "width", "frames")}
        top1 = line.pop("top1_percent")
        found.append(Published(**line, top1=top1, **encoder, work=source, code=work["code"], licence=work["licence"]))
    return tuple(found)


@functools.cache
def full_names() -> dict[str, str]:
    """The authors of works by key, all of them and with given names, as BibTeX has them."""
    return {line["key"]: line["authors"] for line in _lines("published_authors.csv")}


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


def _lines(name: str) -> list[dict[str, str]]:
    text = resources.files("ikem.report").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _key(item: Published) -> tuple[str | None, ...]:
    return item.method, item.streams, item.dataset, item.protocol, item.evaluation
