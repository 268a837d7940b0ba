"""How many clips a split has: counted where it was split already, published, or as far as the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from ikem.data.splits import read_split
from ikem.settings.data import Dataset, Protocol
from ikem.workflow.plan import Plan

ASSUMED = 10_000, 5_000
"""Training and test clips of a protocol of which nothing says how many it has."""
BODIES = {"ntu": 2, "pkummd": 2, "nwucla": 1, "arrays": 1}
"""Bodies of a prepared clip, by format."""
FRAMES = {"ntu": 83, "pkummd": 170, "nwucla": 40, "arrays": 100}
"""Mean raw frames of a clip, by format."""


@dataclass(frozen=True)
class Split:
    """Clips of a protocol, and where the numbers are from: counted, published, settings, assumed."""

    train: int
    test: int
    source: str


def split_of(plan: Plan, dataset: str, protocol: str) -> Split:
    """The numbers of clips of a protocol.

    Raises:
        InputError: the split is there, but damaged.
    """
    path = plan.job("split", {"dataset": dataset, "protocol": protocol}).output
    if path.exists():
        found = read_split(path)
        return Split(len(found["train"]), len(found["test"]), "counted")
    entry = plan.config.datasets[dataset]
    counts = entry.protocols[protocol].counts
    if counts is not None:
        return Split(counts.train, counts.test, "published")
    if entry.synthetic is not None:
        total = synthetic_clips(entry)
        train = round(total * _training_share(entry, entry.protocols[protocol]))
        return Split(train, total - train, "settings")
    return Split(*ASSUMED, "assumed")


def clips_of(plan: Plan, dataset: str) -> int:
    """All clips of a dataset: as many as its largest protocol has."""
    splits = (split_of(plan, dataset, protocol) for protocol in plan.config.datasets[dataset].protocols)
    return max(split.train + split.test for split in splits)


def synthetic_clips(dataset: Dataset) -> int:
    """Clips that a synthetic dataset generates; of PKU-MMD's form about so many."""
    settings = dataset.synthetic
    assert settings is not None
    if dataset.format == "pkummd":
        return round(settings.videos * 3 * sum(settings.instances) / 2)
    takes = len(settings.actions) * len(settings.performers) * settings.visits
    return takes * settings.cameras * settings.replications


def _training_share(dataset: Dataset, protocol: Protocol) -> float:
    """The share of the values of a column that train; two thirds where the settings do not list its values."""
    settings = dataset.synthetic
    assert settings is not None
    values = {"subject": settings.performers, "camera": range(1, settings.cameras + 1)}.get(protocol.column)
    if dataset.format == "pkummd" or values is None:
        return 2 / 3
    listed = {str(value) for value in protocol.train}
    return sum(str(value) in listed for value in values) / len(values)
