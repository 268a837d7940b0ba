"""What finished jobs have left behind for figures: matrices, losses, embeddings, prepared clips, records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ikem.methods.registry import METHODS, STAGES, encoder_states
from ikem.modalities import MODALITIES
from ikem.report.clip import ClipFile
from ikem.report.confusion import ConfusionFile
from ikem.report.curves import Curve
from ikem.report.embedding_map import EmbeddingFile
from ikem.report.labels import Naming
from ikem.workflow.plan import Job, Plan


@dataclass(frozen=True)
class Traces:
    """Files of finished jobs.

    Attributes:
        confusions, curves, embeddings, clips: for figures.
        records: run.json files of all jobs.
    """

    confusions: list[ConfusionFile]
    curves: list[Curve]
    embeddings: list[EmbeddingFile]
    clips: list[ClipFile]
    records: list[Path]


def traces_of(plan: Plan, naming: Naming) -> Traces:
    """The files that are there."""
    # Of entries that are one row, the one with the most modalities is drawn.
    widest: dict[tuple[str, str, str], str] = {}
    for keys in _runs(plan):
        entries = [entry for entry in (widest.get(_place(keys, naming)), keys["method"]) if entry]
        widest[_place(keys, naming)] = max(entries, key=lambda entry: len(plan.config.methods[entry].modalities))
    confusions = [
        ConfusionFile(path, *_place(keys, naming), evaluation)
        for evaluation, keys, job in plan.cells("linear")
        if plan.config.evaluations[evaluation].target is None and widest[_place(keys, naming)] == keys["method"]
        for path in [job.output.with_name(f"{job.output.stem}.confusion.npz")]
        if path.exists() and job.output.exists()  # without its result it may be of other settings
    ]
    curves: dict[tuple[tuple[str, str, str], Path], Curve] = {}
    embeddings = []
    for keys in _runs(plan):
        place = dataset, protocol, row = _place(keys, naming)
        stages = {stage.name for stage in METHODS[plan.config.methods[keys["method"]].kind].stages}
        for job in training_jobs(plan, keys):
            metrics = job.output.with_name("metrics.csv")
            own = dict(job.name.keys).get("method", keys["method"]) == keys["method"] and job.name.kind in stages
            if own and metrics.exists() and metrics.stat().st_size > 2:
                page, stem = naming.split(dataset, protocol), f"{dataset}/{protocol}"
                curves[place, metrics] = Curve(metrics, page, naming.method(row), stem)
        split = plan.job("split", {name: keys[name] for name in ("dataset", "protocol")}).output
        samples = plan.job("prepare", {"dataset": dataset}).output.with_name("samples.csv")
        path = plan.job("embed", keys).output
        if widest[place] == keys["method"] and path.exists() and split.exists() and samples.exists():
            embeddings.append(EmbeddingFile(path, samples, split, *place))
    records = [job.record for job in plan.all_jobs() if job.record.exists()]
    return Traces(confusions, list(curves.values()), embeddings, _clips(plan), records)


def _place(keys: dict[str, str], naming: Naming) -> tuple[str, str, str]:
    """Dataset, protocol and row of a run."""
    return keys["dataset"], keys["protocol"], naming.row(keys["method"])


def training_jobs(plan: Plan, keys: dict[str, str], streams: list[str] | None = None) -> list[Job]:
    """All training that the encoders of a method need: what they are built on first, a teacher's too.

    Args:
        keys: dataset, protocol, seed and method.
        streams: modalities of the encoders; by default all.
    """
    jobs: dict[Any, Job] = {}

    def collect(job: Job) -> None:
        if job.name.kind in STAGES and job.name not in jobs:
            for part in job.inputs.values():
                collect(part)
            if job.settings["first_epoch"] < job.settings["last_epoch"]:
                jobs[job.name] = job

    run = {name: keys[name] for name in ("dataset", "protocol", "seed")}
    for modality, state in encoder_states(plan.config, run, keys["method"]).items():
        if streams is None or modality in streams:
            collect(plan.job(state.kind, dict(state.keys)))
    return list(jobs.values())


def _runs(plan: Plan) -> Iterator[dict[str, str]]:
    """Dataset, protocol, method and seed of each run, once."""
    seen = set()
    for _, keys, _ in plan.cells():
        name = tuple(sorted(keys.items()))
        if name not in seen:
            seen.add(name)
            yield keys


def _clips(plan: Plan) -> list[ClipFile]:
    found = []
    for dataset in dict.fromkeys(block.dataset for block in plan.config.benchmark):
        position = plan.job("prepare", {"dataset": dataset}).output
        paths = {name: plan.job("modality", {"dataset": dataset, "modality": name}).output for name in MODALITIES}
        there = {name: path for name, path in paths.items() if path.exists()}
        if position.exists() and there:
            skeleton = plan.config.datasets[dataset].skeleton
            found.append(ClipFile(dataset, position, position.with_name("samples.csv"), there, skeleton))
    return found
