"""The whole config: the entries, what is to be run, and where."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ikem.evaluations.registry import EvaluationEntry
from ikem.kernels.dispatch import Backend
from ikem.methods.registry import STAGES, MethodEntry
from ikem.registry import nearest
from ikem.schema import Folder, Name, Settings
from ikem.settings.data import Dataset
from ikem.settings.training import Recipe
from ikem.skeleton import known_skeletons

Seed = Annotated[int, Field(ge=0, le=2**32 - 1, strict=False)]
"""From a command line (`--config seeds=[0,1]`) numbers come as text."""


_LARGEST = 100_000
"""Results that a config may ask for."""


def _below_the_working_folder(folder: str) -> str:
    if folder.startswith("~"):
        raise ValueError("~ is no home directory here: write the whole path")
    if folder == ".":
        raise ValueError("results need a folder of their own, such as results")
    return folder


class Block(Settings):
    """A part of the benchmark: every combination of what it lists."""

    dataset: Name
    """Dataset entry."""
    protocols: tuple[Name, ...] = Field(min_length=1, max_length=1000, strict=False)
    """Protocols of the dataset."""
    methods: tuple[Name, ...] = Field(min_length=1, max_length=1000, strict=False)
    """Method entries."""
    evaluations: tuple[Name, ...] = Field(min_length=1, max_length=1000, strict=False)
    """Evaluation entries."""
    seeds: tuple[Seed, ...] | None = Field(None, min_length=1, max_length=1000, strict=False)
    """Seeds; by default those of the config."""


class Resources(Settings):
    """What a job asks of a scheduler."""

    gpu: int = Field(0, ge=0, le=1)
    """Devices: one or none. A job computes on one; several jobs run side by side on several."""
    mem_mb: int = Field(2000, ge=100, le=16_000_000)
    """Memory, MiB."""
    runtime: int = Field(60, ge=1, le=525_600)
    """Wall time, minutes."""


class Compute(Settings):
    """Where and how jobs compute."""

    threads: int = Field(1, ge=1, le=512)
    """Numeric threads of a job. They shape the last bits of a result, so they are part of what a result is."""
    processes: int = Field(2, ge=1, le=512)
    """Processes that read archives."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of training and embedding; auto: a GPU where there is one."""
    backend: Backend = "auto"
    """What computes losses and modalities. reference: plain PyTorch; kernels: faster replacements for float32 on a CPU,
    and an error where they cannot be used; auto: kernels where they can be used. The last bits of results differ."""
    compile: bool = False
    """Compile the encoders of a training stage by `torch.compile`. It needs a C++ compiler, and minutes at the start of
    each job; the last bits of results differ. Not with `activation_checkpointing`."""
    cuda_graph: Literal["auto", "off"] = "off"
    """auto: on a GPU, replay the steps of a training stage from a CUDA graph where method and optimizer allow it: fewer
    launches, the same numbers, about twice the memory. Not yet run on a GPU."""
    processes_per_job: dict[Name, Annotated[int, Field(ge=1, le=64)]] = Field(default_factory=dict, max_length=100)
    """By the name of a training stage (ikem, crossclr, cmd): processes that share a job of it, each with a device of
    its own and some of the modalities; at most one for each modality. Other stages cannot be divided."""
    checkpoint_minutes: float = Field(5.0, ge=0, le=10_080)
    """Minutes between checkpoints; one is also written when a signal asks the job to leave."""
    data: Resources = Resources(mem_mb=2000, runtime=120)
    """What a job that decodes, prepares or splits data asks of a scheduler."""
    train: Resources = Resources(gpu=1, mem_mb=16000, runtime=1440)
    """What a job that trains an encoder asks of a scheduler."""
    evaluate: Resources = Resources(gpu=1, mem_mb=8000, runtime=240)
    """What a job that embeds clips or evaluates an encoder asks of a scheduler."""
    report: Resources = Resources(mem_mb=2000, runtime=20)
    """What the job that gathers results into tables, figures and the report asks of a scheduler."""


class Comparisons(Settings):
    """How tables compare methods."""

    baselines: tuple[Name, ...] = Field(("skeletonclr",), max_length=100, strict=False)
    """Method entries that others are compared with: each with the first of them that has the same encoder and as many
    streams."""
    level: float = Field(0.05, gt=0, lt=0.5)
    """A difference is called one if its corrected p-value is below this; intervals cover 1 - level."""
    resamples: int = Field(10_000, ge=100, le=1_000_000)
    """Draws of the bootstrap."""


class Figures(Settings):
    """How figures are written."""

    formats: tuple[Literal["svg", "pdf"], ...] = Field(("svg", "pdf"), strict=False, max_length=2)
    """Forms of each figure besides PNG."""


class Config(Settings):
    """A whole benchmark."""

    data: Folder = "data"
    """Folder of the raw files."""
    results: Annotated[Folder, AfterValidator(_below_the_working_folder)] = "results"
    """Folder of all that is generated."""
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, max_length=1000, strict=False)
    """Seeds of the runs."""
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    """Datasets by name: changes of published entries, or entries of your own."""
    recipes: dict[Name, Recipe] = Field(default_factory=dict)
    """Recipes of stage 1 by name: changes of published entries, or entries of your own."""
    methods: dict[Name, MethodEntry] = Field(default_factory=dict)
    """Methods by name: changes of published entries, or entries of your own."""
    evaluations: dict[Name, EvaluationEntry] = Field(default_factory=dict)
    """Evaluations by name: changes of published entries, or entries of your own."""
    benchmark: tuple[Block, ...] = Field(min_length=1, max_length=1000, strict=False)
    """What is to be run."""
    comparisons: Comparisons = Comparisons()
    """How tables compare methods: baselines, level and draws."""
    figures: Figures = Figures()
    """How figures are written: their file formats."""
    compute: Compute = Compute()
    """Where and how jobs compute, and what they ask of a scheduler."""

    @model_validator(mode="after")
    def _references(self) -> Config:
        if faults := list(self._faults()):
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        lists = [
            (block.protocols, block.methods, block.evaluations, block.seeds or self.seeds) for block in self.benchmark
        ]
        if (cells := sum(math.prod(map(len, parts)) for parts in lists)) > _LARGEST:
            yield f"benchmark: it asks for {cells} results; at most {_LARGEST} are allowed, so divide it"
        for name, dataset in self.datasets.items():
            if not dataset.skeleton.endswith((".yaml", ".yml")):
                yield from _unknown(f"datasets.{name}.skeleton", dataset.skeleton, known_skeletons())
            for protocol, split in dataset.protocols.items():
                both = set(split.train) & set(split.test or ())
                if both:
                    key = f"datasets.{name}.protocols.{protocol}.test"
                    yield f"{key}: {sorted(both, key=str)} trains already; allowed are values not in train"
        if self.compute.device == "cpu":
            for name, recipe in self.recipes.items():
                if recipe.precision == "tf32":
                    yield f"recipes.{name}.precision: tf32 is not known to a CPU; allowed are float32 and bfloat16"
        divisible = [name for name, stage in STAGES.items() if stage.divisible]
        for name in self.compute.processes_per_job:
            if name not in divisible:
                allowed = ", ".join(sorted(divisible))
                yield f"compute.processes_per_job.{name}: its jobs cannot be divided; allowed are {allowed}"
        if self.compute.compile:
            for name, recipe in self.recipes.items():
                if getattr(recipe.encoder, "activation_checkpointing", False):
                    yield f"recipes.{name}.encoder.activation_checkpointing: true is not allowed with compute.compile"
        for name, method in self.methods.items():
            unknown = list(_unknown(f"methods.{name}.recipe", method.recipe, self.recipes))
            yield from unknown
            try:
                if not unknown:
                    method.check(name, self)
            except ValueError as error:
                yield str(error)
        yield from self._faults_of_evaluations()
        for value in self.comparisons.baselines:
            yield from _unknown("comparisons.baselines", value, self.methods)
        for number, block in enumerate(self.benchmark):
            key = f"benchmark.{number}"
            yield from _unknown(f"{key}.dataset", block.dataset, self.datasets)
            protocols = self.datasets[block.dataset].protocols if block.dataset in self.datasets else block.protocols
            for part, known in (
                ("protocols", protocols),
                ("methods", self.methods),
                ("evaluations", self.evaluations),
            ):
                for value in getattr(block, part):
                    yield from _unknown(f"{key}.{part}", value, known)

    def _faults_of_evaluations(self) -> Iterator[str]:
        for name, evaluation in self.evaluations.items():
            key, target = f"evaluations.{name}", evaluation.target
            if target is not None:
                yield from _unknown(f"{key}.target.dataset", target.dataset, self.datasets)
                if target.dataset in self.datasets:
                    known = self.datasets[target.dataset].protocols
                    yield from _unknown(f"{key}.target.protocol", target.protocol, known)
            try:
                evaluation.check(name, self)
            except ValueError as error:
                yield str(error)
        for number, block in enumerate(self.benchmark):
            for name in block.evaluations:
                target = self.evaluations[name].target if name in self.evaluations else None
                if target is not None and {target.dataset, block.dataset} <= set(self.datasets):
                    key = f"benchmark.{number}.evaluations: {name!r}"
                    yield from self._faults_of_transfer(key, block, target.dataset, target.protocol)

    def _faults_of_transfer(self, key: str, block: Block, dataset: str, protocol: str) -> Iterator[str]:
        if dataset == block.dataset and protocol in block.protocols:
            yield f"{key} has the target {dataset} {protocol}, which the encoders are pretrained on"
        for part in ("skeleton", "prepare"):
            here, there = (getattr(self.datasets[name], part) for name in (block.dataset, dataset))
            if here != there:
                yield f"{key} has the target {dataset}, whose {part} is {there}; that of {block.dataset} is {here}"


def _unknown(key: str, value: str, known: Collection[str]) -> Iterator[str]:
    if value not in known:
        yield f"{key}: {value!r} is not known{nearest(value, known)}; allowed are {', '.join(sorted(known))}"
