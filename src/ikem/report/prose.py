"""Method, data, split, schedule and hardware in sentences, for a reader who does not know the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ikem.methods.registry import METHODS
from ikem.report.datasets import DatasetCounts, reasons_text
from ikem.report.labels import Naming, streams_title
from ikem.report.records import Record, duration, span
from ikem.report.results import clean, streams_order
from ikem.settings.benchmark import Config
from ikem.settings.training import Schedule

_LISTED = 20
"""Values of a split that a sentence lists at most."""


def describe(
    config: Config, naming: Naming, counts: Sequence[DatasetCounts], records: Sequence[Record]
) -> dict[str, list[str]]:
    """Sentences by heading, in the order of the page; every item is a line of a list."""
    asked = naming.ordered_methods(name for block in config.benchmark for name in block.methods)
    rows = list(dict.fromkeys(map(naming.row, asked)))
    splits = naming.ordered_splits((block.dataset, name) for block in config.benchmark for name in block.protocols)
    found = {
        "Method": [_method(config, naming, name, asked) for name in rows],
        "Data": [_data(config, name, counts) for name in dict.fromkeys(split[0] for split in splits)],
        "Split": [_split(config, naming, split[0], split[1], counts) for split in splits],
        "Schedule": [_recipe(config, naming, name, rows) for name in _recipes(config, rows)],
        "Hardware": _hardware(records),
    }
    found["Schedule"] += [
        f"{naming.method(name)}, by a schedule of its own: {_schedule(schedule)}."
        for name in rows
        if (schedule := getattr(config.methods[name], "schedule", None)) is not None
    ]
    seeds = sorted({seed for block in config.benchmark for seed in block.seeds or config.seeds})
    found["Schedule"].append(f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}.")
    return {heading: lines for heading, lines in found.items() if lines}


def _method(config: Config, naming: Naming, name: str, asked: Sequence[str]) -> str:
    """A method with the modalities of all entries that are one row with it."""
    declared = METHODS[config.methods[name].kind]
    entries = [entry for entry in asked if naming.row(entry) == name]
    used = dict.fromkeys(modality for entry in entries for modality in config.methods[entry].modalities)
    streams = [streams_title(modality) for modality in sorted(used, key=streams_order)]
    each = f"one for each modality: {', '.join(streams)}" if len(streams) > 1 else f"for the modality {streams[0]}"
    return f"{naming.method(name)}: {declared.summary} Encoder: {naming.encoders[name]}, {each}."


def _data(config: Config, name: str, counts: Sequence[DatasetCounts]) -> str:
    dataset = config.datasets[name]
    origin = "synthetic recordings" if dataset.synthetic else "recordings as their owners publish them"
    text = f"{clean(dataset.title)}: {origin}, {dataset.prepare.frames} frames a clip"
    for item in counts:
        if item.dataset == name:
            left_out = sum(item.left_out.values())
            text += f"; {item.clips} clips"
            text += f"; {item.rejected} more could not be read" if item.rejected else ""
            if left_out:
                verb = "was" if left_out == 1 else "were"
                text += f"; {left_out} more {verb} left out on purpose ({reasons_text(left_out, item.left_out)})"
    return f"{text}."


def _split(config: Config, naming: Naming, dataset: str, name: str, counts: Sequence[DatasetCounts]) -> str:
    protocol = config.datasets[dataset].protocols[name]
    column = clean(protocol.column.replace("_", " "))
    if protocol.train == ("train",):
        text = f"{naming.split(dataset, name)}: {column}, by the dataset's own list"
    else:
        test = "all others" if protocol.test is None else f"those of {_values(column, protocol.test)}"
        text = f"{naming.split(dataset, name)}: clips of {_values(column, protocol.train)} train, {test} test"
    for clips, restriction in (
        ("only those", protocol.within),
        ("for training only those", protocol.train_within),
        ("for test only those", protocol.test_within),
    ):
        for other, values in restriction.items():
            text += f", {clips} of {_values(clean(other.replace('_', ' ')), values)}"
    parts: Mapping[str, int] = next((item.splits.get(name, {}) for item in counts if item.dataset == dataset), {})
    if parts:
        text += f": {parts['train']} training clips, {parts['test']} test clips"
        text += f", {parts['unused']} in neither" if parts["unused"] else ""
    return f"{text}."


def _values(column: str, values: Sequence[int | str]) -> str:
    """Values of a column, or how many they are where they would fill a line."""
    if len(values) > _LISTED:
        return f"{len(values)} {column}s"
    return f"{column}{'s' * (len(values) > 1)} {', '.join(clean(str(value)) for value in values)}"


def _follows(config: Config, method: str, recipe: str) -> bool:
    """Whether a method is pretrained by the schedule of a recipe, not by its own or not at all."""
    options = config.methods[method]
    return options.recipe == recipe and METHODS[options.kind].ranked and getattr(options, "schedule", None) is None


def _recipes(config: Config, methods: Sequence[str]) -> list[str]:
    recipes = dict.fromkeys(config.methods[name].recipe for name in methods)
    return [recipe for recipe in recipes if any(_follows(config, name, recipe) for name in methods)]


def _recipe(config: Config, naming: Naming, name: str, methods: Sequence[str]) -> str:
    recipe = config.recipes[name]
    users = ", ".join(naming.method(method) for method in methods if _follows(config, method, name))
    contrast = recipe.contrast
    kinds = {config.methods[method].kind for method in methods if _follows(config, method, name)}
    text = f"{users}: {_schedule(recipe.schedule)}"
    if any(len(METHODS[kind].stages) > 1 for kind in kinds):
        text += "; modalities that learn from each other in a second stage learn alone for the first "
        text += f"{recipe.stage1_epochs} epochs"
    if any(METHODS[kind].queue for kind in kinds):
        text += f". Queue of {contrast.queue_size} keys, temperature {contrast.temperature:g}, key momentum "
        text += f"{contrast.key_momentum:g}"
    return f"{text}; computed in {recipe.precision}."


def _schedule(schedule: Schedule) -> str:
    text = (
        f"{schedule.epochs} epochs, batches of {schedule.batch_size}, {schedule.optimizer.kind.upper()}, learning rate "
        f"{schedule.learning_rate:g}"
    )
    if schedule.decay.kind == "cosine":
        warm_up = schedule.decay.warmup_epochs
        return f"{text}{f' after {warm_up} epochs of warm-up' if warm_up else ''}, lowered by half a cosine"
    return text + (f", lowered after epoch {schedule.decay.epoch}" if schedule.decay.epoch else "")


def _hardware(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    devices = sorted({"a CPU" if record.device == "cpu" else record.device for record in records if record.device})
    total = duration(sum(record.seconds for record in records))
    jobs = f"{len(records)} job{'s' * (len(records) > 1)} on {' and '.join(devices) or 'an unknown device'}"
    whole = span(records)
    return [f"{jobs}: {total} added up{'' if whole is None else f', {duration(whole)} from the first to the last'}."]
