"""How a report calls what the results hold, in which order, and what it is called in published tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ikem.encoders.registry import ENCODERS
from ikem.evaluations.registry import EVALUATIONS
from ikem.files import canonical_json
from ikem.methods.registry import METHODS
from ikem.registry import Source
from ikem.report.results import MODALITIES, clean
from ikem.settings.benchmark import Config
from ikem.settings.data import Dataset
from ikem.settings.evaluations import Transfer


@dataclass(frozen=True)
class Naming:
    """Titles and order of the entries of a config. What is not named goes by its entry, after what is.

    Attributes:
        methods, datasets, evaluations: title of each entry, in the order of the tables.
        protocols: protocols of each dataset, in the order of the tables.
        classes: class names of each dataset.
        unranked: methods that are not pretrained (floor and ceiling): never the best of a column.
        published_as: name of a method in published_results.csv.
        published_datasets: name of a dataset there, or null where nothing is published (synthetic recordings).
        published_evaluations: name of an evaluation there.
        fractions: share of the training labels that an evaluation uses, 0 to 1.
        encoders: encoder of each method and its width: only methods of one encoder are compared with each other.
        baselines: methods that gains are over: the first of them that has the same streams and encoder.
        compared: rows of the benchmark's tables, in order: colors and markers of figures follow it.
        same: entries that are a row of an earlier one: the same method with other modalities, where none depends on
            which others there are. A table shows them as one.
        conditions: the conditions of evaluations, in the order of the tables.
        sources, evaluation_sources: where each method, its encoder, and each evaluation were published.
    """

    methods: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    evaluations: Mapping[str, str] = field(default_factory=dict)
    protocols: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unranked: frozenset[str] = frozenset(("random", "supervised"))
    published_as: Mapping[str, str] = field(default_factory=dict)
    published_datasets: Mapping[str, str | None] = field(default_factory=dict)
    published_evaluations: Mapping[str, str] = field(default_factory=dict)
    fractions: Mapping[str, float] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    evaluation_sources: Mapping[str, str] = field(default_factory=dict)

    def method(self, entry: str) -> str:
        """Title of a method."""
        return clean(self.methods.get(entry, entry))

    def evaluation(self, entry: str) -> str:
        """Title of an evaluation."""
        return clean(self.evaluations.get(entry, entry))

    def dataset(self, entry: str) -> str:
        """Title of a dataset."""
        return clean(self.datasets.get(entry, entry))

    def row(self, entry: str) -> str:
        """The entry under which a table shows a method."""
        return self.same.get(entry, entry)

    def sources_of(self, methods: Iterable[str], evaluation: str) -> list[str]:
        """The different sources of methods and of an evaluation, in this order."""
        found = [self.sources.get(method, "") for method in methods] + [self.evaluation_sources.get(evaluation, "")]
        return [source for source in dict.fromkeys("\n".join(found).splitlines()) if source]

    def split(self, dataset: str, protocol: str, condition: str = "") -> str:
        """Title of a protocol of a dataset, under a condition."""
        under = f", {condition}" if condition else ""
        return clean(f"{self.datasets.get(dataset, dataset)} {protocol}{under}")

    def ordered_methods(self, entries: Iterable[str]) -> list[str]:
        """The different entries in the order of the tables."""
        return _ordered(entries, self.methods)

    def ordered_evaluations(self, entries: Iterable[str]) -> list[str]:
        """The different entries in the order of the tables."""
        return _ordered(entries, self.evaluations)

    def ordered_splits(self, splits: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The different (dataset, protocol), or (dataset, protocol, condition), in the order of the tables."""
        datasets = list(self.datasets)

        def order(split: tuple[str, ...]) -> tuple[int | str, ...]:
            dataset, protocol, condition = (*split, "")[:3]
            protocols = self.protocols.get(dataset, ())
            position = _position(dataset, datasets), dataset, _position(protocol, protocols), protocol
            return *position, _position(condition, self.conditions), condition

        return sorted(set(splits), key=order)

    def published_dataset(self, entry: str) -> str | None:
        """Name of a dataset in published_results.csv; null: it is not there."""
        return self.published_datasets.get(entry, entry)

    def published_evaluation(self, entry: str) -> str:
        """Name of an evaluation in published_results.csv: `semi-10` is `semi-10%` there."""
        return self.published_evaluations.get(entry) or re.sub(r"^(semi-[0-9.]+)$", r"\1%", entry)

    def fraction(self, entry: str) -> float | None:
        """Share of the training labels that an evaluation uses (0 to 1), or null if it is none that fine-tunes."""
        if entry in self.fractions:
            return self.fractions[entry]
        found = re.fullmatch(r"semi-([0-9]+(?:\.[0-9]+)?)", entry)
        return 1.0 if entry == "finetune" else float(found[1]) / 100 if found else None


def naming_of(config: Config) -> Naming:
    """The naming that follows from a config. Synthetic recordings have no published values."""
    evaluations, same = config.evaluations.items(), _same(config)
    benchmarked = {same.get(name, name) for block in config.benchmark for name in block.methods}
    return Naming(
        methods={name: method.title or method.default_title(name, config) for name, method in config.methods.items()},
        datasets={name: dataset.title for name, dataset in config.datasets.items()},
        evaluations={name: evaluation.title + _where(evaluation.target, config) for name, evaluation in evaluations},
        protocols={name: tuple(dataset.protocols) for name, dataset in config.datasets.items()},
        classes={name: names for name, dataset in config.datasets.items() if (names := _classes(dataset))},
        unranked=frozenset(name for name, method in config.methods.items() if not METHODS[method.kind].ranked),
        published_as={name: method.published_as for name, method in config.methods.items() if method.published_as},
        published_datasets={name: None for name, dataset in config.datasets.items() if dataset.synthetic},
        published_evaluations={
            name: evaluation.published_as for name, evaluation in evaluations if not evaluation.target
        },
        encoders={name: _encoder(config.recipes[method.recipe].encoder) for name, method in config.methods.items()},
        baselines=tuple(dict.fromkeys(same.get(name, name) for name in config.comparisons.baselines)),
        compared=tuple(name for name in config.methods if name in benchmarked),
        same=same,
        sources={name: _sources(method, config) for name, method in config.methods.items()},
        evaluation_sources={
            name: _cited(item.title, source) for name, item in evaluations if (source := EVALUATIONS[item.kind].source)
        },
        fractions={
            name: item.label_fraction
            for name, item in evaluations
            if item.label_fraction is not None and not item.target
        },
        conditions=tuple(dict.fromkeys(condition for _, item in evaluations for condition in item.conditions)),
    )


def _same(config: Config) -> dict[str, str]:
    """Entries that differ from an earlier one in modalities alone, where none of these depends on the others."""
    first: dict[str, str] = {}
    same = {}
    for name, method in config.methods.items():
        if METHODS[method.kind].independent_modalities:
            title = method.title or method.default_title(name, config)
            settings = method.model_dump(mode="json", exclude={"title", "published_as", "modalities"})
            if (earlier := first.setdefault(canonical_json([title, settings]), name)) != name:
                same[name] = earlier
    return same


def _where(target: Transfer | None, config: Config) -> str:
    return f", transferred to {config.datasets[target.dataset].title} {target.protocol}" if target else ""


def _sources(method: Any, config: Config) -> str:
    """Citations of a method and of its encoder, a line each."""
    declared, encoder = METHODS[method.kind], ENCODERS[config.recipes[method.recipe].encoder.kind]
    found = [_cited(item.title, item.source) for item in (declared, encoder) if item.source]
    return "\n".join(found)


def _cited(title: str, source: Source) -> str:
    return f"{title}: {source} [{source.key}]"


def _encoder(options: Any) -> str:
    """An encoder and its width: `ST-GCN 16/256`."""
    widths = [getattr(options, name, None) for name in ("hidden_channels", "hidden_dim")]
    return f"{ENCODERS[options.kind].title} {'/'.join(str(width) for width in widths if width)}"


def _classes(dataset: Dataset) -> tuple[str, ...]:
    """Class names; those of synthetic recordings are the names of their actions."""
    return dataset.class_names or (dataset.synthetic.actions if dataset.synthetic else ())


def streams_title(streams: str) -> str:
    """Streams as a table shows them: all six by their number, since their names would fill the table."""
    if streams == "+".join(MODALITIES):
        return f"all {len(MODALITIES)} modalities"
    return clean(streams.replace("_", " ")) or "–"


def _ordered(entries: Iterable[str], order: Iterable[str]) -> list[str]:
    known = list(order)
    return sorted(set(entries), key=lambda entry: (_position(entry, known), entry))


def _position(entry: str, known: list[str] | tuple[str, ...]) -> int:
    return known.index(entry) if entry in known else len(known)
