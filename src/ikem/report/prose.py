"""Method, data, split, schedule and hardware in sentences, for a reader who does not know the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ikem.methods.registry import METHODS
from ikem.report.datasets import DatasetCounts
from ikem.report.labels import Naming, streams_title
from ikem.report.records import Record, duration
from ikem.report.results import clean
from ikem.settings.benchmark import Config
from ikem.settings.training import Schedule


def describe(
    config: Config, naming: Naming, counts: Sequence[DatasetCounts], records: Sequence[Record]
) -> dict[str, list[str]]:
    """Sentences by heading, in the order of the page; every item is a line of a list."""
    asked = naming.ordered_methods(name for block in config.benchmark for name in block.methods)
    splits = naming.ordered_splits((block.dataset, name) for block in config.benchmark for name in block.protocols)
    found = {
        "Method": [_method(config, naming, name) for name in asked],
        "Data": [_data(config, name, counts) for name in dict.fromkeys(split[0] for split in splits)],
        "Split": [_split(config, naming, split[0], split[1], counts) for split in splits],
        "Schedule": [_recipe(config, naming, name, asked) for name in _recipes(config, asked)],
        "Hardware": _hardware(records),
    }
    found["Schedule"] += [
        f"{naming.method(name)} itself: {_schedule(schedule)}."
        for name in asked
        if (schedule := getattr(config.methods[name], "schedule", None)) is not None
    ]
    seeds = sorted({seed for block in config.benchmark for seed in block.seeds or config.seeds})
    found["Schedule"].append(f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}.")
    return {heading: lines for heading, lines in found.items() if lines}


def _method(config: Config, naming: Naming, name: str) -> str:
    method = config.methods[name]
    declared = METHODS[method.kind]
    streams = ", ".join(streams_title(modality) for modality in method.modalities)
    return f"{naming.method(name)}: {declared.summary} Encoder: {naming.encoders[name]}, one for each of {streams}."


def _data(config: Config, name: str, counts: Sequence[DatasetCounts]) -> str:
    dataset = config.datasets[name]
    origin = "synthetic recordings" if dataset.synthetic else "recordings as their owners publish them"
    text = f"{clean(dataset.title)}: {origin}, {dataset.prepare.frames} frames a clip"
    for item in counts:
        if item.dataset == name:
            left_out = sum(item.left_out.values())
            text += f"; {item.clips} clips were read, {item.rejected} could not be, {left_out} were left out on purpose"
    return f"{text}."


def _split(config: Config, naming: Naming, dataset: str, name: str, counts: Sequence[DatasetCounts]) -> str:
    protocol = config.datasets[dataset].protocols[name]
    column = protocol.column.replace("_", " ")
    text = f"{naming.split(dataset, name)}: by {clean(column)}; {len(protocol.train)} of its values train"
    parts: Mapping[str, int] = next((item.splits.get(name, {}) for item in counts if item.dataset == dataset), {})
    if parts:
        text += f": {parts['train']} training clips, {parts['test']} test clips"
        text += f", {parts['unused']} in neither" if parts["unused"] else ""
    return f"{text}."


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
    return (
        f"{users}: {_schedule(recipe.schedule)}; where streams are trained together, each is first trained by itself "
        f"for {recipe.stage1_epochs} epochs. Queue of {recipe.contrast.queue_size} keys, temperature "
        f"{recipe.contrast.temperature:g}, key momentum {recipe.contrast.key_momentum:g}, {recipe.precision}."
    )


def _schedule(schedule: Schedule) -> str:
    decay = getattr(schedule.decay, "epoch", None)
    text = (
        f"{schedule.epochs} epochs, batches of {schedule.batch_size}, {schedule.optimizer.kind.upper()}, learning rate "
    )
    return f"{text}{schedule.learning_rate:g}" + (f", lowered after epoch {decay}" if decay else "")


def _hardware(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    devices = sorted({"a CPU" if record.device == "cpu" else record.device for record in records if record.device})
    total = duration(sum(record.seconds for record in records))
    return [f"{len(records)} jobs on {' and '.join(devices) or 'an unknown device'} took {total} one after another."]
