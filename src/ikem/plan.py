"""What a config asks for: every job with its settings, inputs and paths, and a digest of all that shapes its result.

The rules of the workflow, `status` and the gathering of results all read the plan; nothing else knows where a file
lies. The digest of a job covers its own settings and the digests of the jobs it builds on, so a result made under other
settings anywhere upstream has another digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ikem.files import canonical_json, digest_of
from ikem.settings import (
    IKEM,
    Config,
    CrosSCLR,
    Dataset,
    Finetune,
    Knn,
    Linear,
    Random,
    Recipe,
    Semi,
    Student,
    Supervised,
)
from ikem.skeleton import load_skeleton

Keys = dict[str, str]
Description = tuple[dict[str, Any], dict[str, "JobName"]]
_RUN = "{dataset}/{protocol}/seed{seed}"
_WILDCARD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class JobName:
    """A job's kind and the values of its wildcards."""

    kind: str
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Kind:
    """A kind of job: the file it ends with (a pattern of wildcards) and how it follows from the config."""

    output: str
    describe: Callable[[Config, Keys], Description]


def _name(kind: str, keys: Mapping[str, str], **more: str) -> JobName:
    return JobName(kind, tuple(sorted({**keys, **more}.items())))


def _only(keys: Mapping[str, str], *names: str) -> Keys:
    return {name: keys[name] for name in names}


def _dataset(config: Config, keys: Keys) -> Dataset:
    return config.datasets[keys["dataset"]]


def _skeleton(config: Config, keys: Keys) -> dict[str, Any]:
    """The skeleton by name, and a digest of what its definition says: a file of one's own may change under its name."""
    name = _dataset(config, keys).skeleton
    return {"skeleton": name, "skeleton_digest": digest_of(asdict(load_skeleton(name)))}


def _make(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    assert dataset.synthetic is not None
    return {"synthetic": dataset.synthetic.model_dump()}, {}


def _acquire(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    if dataset.synthetic is not None:
        return {"role": keys["role"]}, {"made": _name(f"make_{dataset.format}", _only(keys, "dataset"))}
    archives = {role: archive.model_dump() for role, archive in dataset.archives.items()}
    return {"role": keys["role"], "archives": archives}, {}


def _decode(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    settings = dataset.model_dump(include={"format", "missing_list", "decode"}) | _skeleton(config, keys)
    return settings, {role: _name("acquire", keys, role=role) for role in roles(dataset)}


def _prepare(config: Config, keys: Keys) -> Description:
    settings = _dataset(config, keys).model_dump(include={"prepare"}) | _skeleton(config, keys)
    return settings, {"decoded": _name("decode", keys)}


def _modality(config: Config, keys: Keys) -> Description:
    settings = {"modality": keys["modality"], **_skeleton(config, keys)}
    return settings, {"prepared": _name("prepare", _only(keys, "dataset"))}


def _split(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    settings = {"protocol": dataset.protocols[keys["protocol"]].model_dump(), "partial": dataset.partial}
    return settings, {"prepared": _name("prepare", _only(keys, "dataset"))}


def _draw(config: Config, keys: Keys) -> Description:
    settings = {"fraction": float(keys["fraction"]), "sampling": keys["sampling"], "draw": int(keys["draw"])}
    return settings, {"split": _name("split", _only(keys, "dataset", "protocol"))}


def _training(config: Config, keys: Keys, recipe: Recipe, **more: Any) -> Description:
    """What every training job has in common."""
    settings = {
        "seed": int(keys["seed"]),
        **_skeleton(config, keys),
        "encoder": recipe.encoder.model_dump(),
        "drop_last": recipe.drop_last,
        "precision": recipe.precision,
        "threads": config.compute.threads,
        **more,
    }
    return settings, {
        "prepared": _name("prepare", _only(keys, "dataset")),
        "split": _name("split", _only(keys, "dataset", "protocol")),
    }


def _epochs(recipe: Recipe, first: int, last: int) -> dict[str, Any]:
    """The part of a recipe that epochs first..last (exclusive) see; what comes later is none of their business."""
    schedule = recipe.schedule.model_dump(exclude={"epochs"})
    if schedule["decay_after"] is not None and schedule["decay_after"] >= last:
        schedule["decay_after"] = None
    return {"first_epoch": first, "last_epoch": last, "schedule": schedule, "contrast": recipe.contrast.model_dump()}


def _stage1(config: Config, keys: Keys) -> Description:
    recipe = config.recipes[keys["recipe"]]
    return _training(
        config,
        keys,
        recipe,
        stage="contrast",
        modalities=[keys["modality"]],
        **_epochs(recipe, 0, recipe.exchange_after),
    )


def _skeletonclr(config: Config, keys: Keys) -> Description:
    recipe = config.recipes[keys["recipe"]]
    epochs = _epochs(recipe, recipe.exchange_after, recipe.schedule.epochs)
    settings, inputs = _training(config, keys, recipe, stage="contrast", modalities=[keys["modality"]], **epochs)
    return settings, inputs | {keys["modality"]: _name("stage1", keys)}


def _exchange(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    assert isinstance(method, IKEM | CrosSCLR)
    recipe = config.recipes[method.recipe]
    settings, inputs = _training(
        config,
        keys,
        recipe,
        stage="exchange",
        modalities=list(method.modalities),
        top_k=method.top_k,
        follow=[name for name in method.modalities if method.follow is None or name in method.follow],
        explicit=method.explicit if isinstance(method, IKEM) else True,
        implicit=isinstance(method, IKEM) and method.implicit,
        **_epochs(recipe, recipe.exchange_after, recipe.schedule.epochs),
    )
    run = _only(keys, "dataset", "protocol", "seed")
    return settings, inputs | {
        modality: _name("stage1", run, recipe=method.recipe, modality=modality) for modality in method.modalities
    }


def _student(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    assert isinstance(method, Student)
    teacher = config.methods[method.teacher]
    settings, inputs = _training(
        config,
        keys,
        config.recipes[method.recipe],
        modalities=list(method.modalities),
        teacher_modalities=list(teacher.modalities),
        teacher_encoder=config.recipes[teacher.recipe].encoder.model_dump(),
        **method.model_dump(include={"top_k", "contrast", "schedule", "mining_queue", "teacher_mode"}),
    )
    states = encoder_states(config, keys, method.teacher)
    return settings, inputs | {f"teacher_{modality}": state for modality, state in states.items()}


def _supervised(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    assert isinstance(method, Supervised)
    return _training(
        config,
        keys,
        config.recipes[method.recipe],
        modality=keys["modality"],
        schedule=method.schedule.model_dump(),
        augment=True,
    )


def _random(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    assert isinstance(method, Random)
    settings = {
        "seed": int(keys["seed"]),
        **_skeleton(config, keys),
        "encoder": config.recipes[method.recipe].encoder.model_dump(),
        "modalities": list(method.modalities),
        "initialisation": method.initialisation,
    }
    return settings, {}


def encoder_states(config: Config, keys: Mapping[str, str], method_name: str) -> dict[str, JobName]:
    """For each modality of a method the job whose state holds its encoder."""
    method = config.methods[method_name]
    run = _only(keys, "dataset", "protocol", "seed")
    if method.kind == "skeletonclr":
        return {name: _name("skeletonclr", run, recipe=method.recipe, modality=name) for name in method.modalities}
    if method.kind == "supervised":
        return {name: _name("supervised", run, method=method_name, modality=name) for name in method.modalities}
    kind = "exchange" if method.kind in ("crossclr", "ikem") else method.kind
    return {name: _name(kind, run, method=method_name) for name in method.modalities}


def _encoders(config: Config, keys: Keys) -> Description:
    """What every job that evaluates a method's encoders needs."""
    method = config.methods[keys["method"]]
    recipe = config.recipes[method.recipe]
    dataset = _only(keys, "dataset")
    settings = {
        "modalities": list(method.modalities),
        **_skeleton(config, keys),
        "encoder": recipe.encoder.model_dump(),
        "precision": recipe.precision,
        "threads": config.compute.threads,
    }
    inputs = {f"modality_{name}": _name("modality", dataset, modality=name) for name in method.modalities}
    states = encoder_states(config, keys, keys["method"])
    return settings, inputs | {f"state_{name}": state for name, state in states.items()}


def _embed(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    settings, inputs = _encoders(config, keys)
    if isinstance(method, Random) and method.standardise:
        inputs["split"] = _name("split", _only(keys, "dataset", "protocol"))
    return settings, inputs


def _labels(config: Config, keys: Keys) -> tuple[dict[str, Any], dict[str, JobName]]:
    """How a row of results is named, and where its labels come from."""
    names: dict[str, Any] = _only(keys, "dataset", "protocol", "method") | {"seed": int(keys["seed"])}
    return {"row": names}, {
        "prepared": _name("prepare", _only(keys, "dataset")),
        "split": _name("split", _only(keys, "dataset", "protocol")),
    }


def frozen_evaluations(config: Config, keys: Mapping[str, str]) -> list[str]:
    """Evaluations of frozen embeddings that the config asks for of one method and run, in the order of the config."""
    return [name for name in _evaluations_of(config, keys) if isinstance(config.evaluations[name], Linear | Knn)]


def _evaluations_of(config: Config, keys: Mapping[str, str]) -> list[str]:
    asked = {
        evaluation
        for block in config.benchmark
        if block.dataset == keys["dataset"] and keys["protocol"] in block.protocols and keys["method"] in block.methods
        if int(keys["seed"]) in (block.seeds or config.seeds)
        for evaluation in block.evaluations
    }
    return [name for name in config.evaluations if name in asked]


def _frozen(config: Config, keys: Keys) -> Description:
    names, inputs = _labels(config, keys)
    evaluations = {name: config.evaluations[name].model_dump() for name in frozen_evaluations(config, keys)}
    settings = names | {
        "modalities": list(config.methods[keys["method"]].modalities),
        "evaluations": evaluations,
        "threads": config.compute.threads,
    }
    return settings, inputs | {"embeddings": _name("embed", keys)}


def _tuned(config: Config, keys: Keys) -> Description:
    evaluation = config.evaluations[keys["evaluation"]]
    assert isinstance(evaluation, Semi | Finetune)
    names, label_inputs = _labels(config, keys)
    settings, inputs = _encoders(config, _only(keys, "dataset", "protocol", "seed", "method"))
    names["row"] |= {
        "evaluation": keys["evaluation"],
        "draw": int(keys["draw"]) if isinstance(evaluation, Semi) else None,
    }
    settings |= names | {
        "seed": int(keys["seed"]),
        "schedule": evaluation.schedule.model_dump(),
        "augment": evaluation.augment,
    }
    if isinstance(evaluation, Semi):
        fraction = f"{evaluation.fraction:g}"
        place = _only(keys, "dataset", "protocol", "draw")
        inputs["draw"] = _name("draw", place, fraction=fraction, sampling=evaluation.sampling)
    return settings, {key: job for key, job in inputs.items() if not key.startswith("modality_")} | label_inputs


def roles(dataset: Dataset) -> list[str]:
    """The raw files of a dataset by role."""
    if dataset.synthetic is not None:
        return list(MADE[dataset.format])
    return list(dataset.archives)


MADE: dict[str, dict[str, str]] = {
    "ntu": {"skeletons": "skeletons.zip", "missing_list": "missing_skeletons.txt"},
    "pkummd": {
        "skeletons": "skeletons.7z",
        "labels": "labels.7z",
        "cross_subject": "cross-subject.txt",
        "cross_view": "cross-view.txt",
    },
}
"""Raw files that the benchmark can make, by format and role: their names in `{dataset}/raw/`."""

KINDS: dict[str, Kind] = {
    "make_ntu": Kind("{dataset}/raw/skeletons.zip", _make),
    "make_pkummd": Kind("{dataset}/raw/skeletons.7z", _make),
    "acquire": Kind("{dataset}/archives/{role}.json", _acquire),
    "decode": Kind("{dataset}/decoded/samples.csv", _decode),
    "prepare": Kind("{dataset}/prepared/position.npy", _prepare),
    "modality": Kind("{dataset}/modalities/{modality}.npy", _modality),
    "split": Kind("{dataset}/splits/{protocol}.json", _split),
    "draw": Kind("{dataset}/draws/{protocol}/{sampling}-{fraction}-draw{draw}.txt", _draw),
    "stage1": Kind(_RUN + "/stage1/{recipe}/{modality}/state.safetensors", _stage1),
    "skeletonclr": Kind(_RUN + "/skeletonclr/{recipe}/{modality}/state.safetensors", _skeletonclr),
    "exchange": Kind(_RUN + "/exchange/{method}/state.safetensors", _exchange),
    "student": Kind(_RUN + "/student/{method}/state.safetensors", _student),
    "supervised": Kind(_RUN + "/supervised/{method}/{modality}/state.safetensors", _supervised),
    "random": Kind(_RUN + "/random/{method}/state.safetensors", _random),
    "embed": Kind(_RUN + "/embeddings/{method}/embeddings.safetensors", _embed),
    "frozen": Kind(_RUN + "/evaluations/{method}/frozen.json", _frozen),
    "tuned": Kind(_RUN + "/evaluations/{method}/{evaluation}-draw{draw}.json", _tuned),
}
"""Every kind of job that computes something. The tables are gathered from the jobs of the last two kinds."""


@dataclass(frozen=True)
class Job:
    """One job of a plan.

    Attributes:
        name: kind and wildcards.
        output: the file that the job ends with.
        log: its log.
        settings: all that shapes the result, ready for JSON; `upstream` has the digests of the jobs it builds on.
        inputs: the jobs it builds on, by the name under which the rule knows them.
    """

    name: JobName
    output: Path
    log: Path
    settings: dict[str, Any]
    inputs: dict[str, Job]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the settings."""
        return digest_of(self.settings)

    @property
    def record(self) -> Path:
        """The run.json of the job."""
        return record_path(self.output)

    @property
    def title(self) -> str:
        """The job in words, as `status` shows it: its kind, and its wildcards in the order of the path."""
        keys, order = dict(self.name.keys), _WILDCARD.findall(KINDS[self.name.kind].output)
        return " ".join([self.name.kind, *(keys[name] for name in dict.fromkeys(order))])


def record_path(output: Path) -> Path:
    """Where a job that ends with `output` keeps its run.json: beside it, named after it."""
    return output.with_name(f"{output.name}.run.json")


class Plan:
    """All jobs that a config can ask for, made when asked."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._jobs: dict[JobName, Job] = {}

    def pattern(self, kind: str) -> str:
        """Path pattern of the output of a kind, with its wildcards in braces."""
        return f"{self.config.results}/{KINDS[kind].output}"

    def log_pattern(self, kind: str) -> str:
        """Path pattern of the log of a kind."""
        return f"{self.config.results}/logs/{KINDS[kind].output}.log"

    def job(self, kind: str, keys: Mapping[str, str]) -> Job:
        """The job of a kind for given wildcards; equal arguments give the same object."""
        return self._job(_name(kind, keys))

    def _job(self, name: JobName) -> Job:
        if name not in self._jobs:
            settings, inputs = KINDS[name.kind].describe(self.config, dict(name.keys))
            jobs = {key: self._job(value) for key, value in inputs.items()}
            upstream = {key: job.digest for key, job in sorted(jobs.items())}
            output = Path(self.pattern(name.kind).format(**dict(name.keys)))
            log = Path(self.log_pattern(name.kind).format(**dict(name.keys)))
            self._jobs[name] = Job(name, output, log, {"kind": name.kind, **settings, "upstream": upstream}, jobs)
        return self._jobs[name]

    def settings(self, kind: str, keys: Mapping[str, str]) -> str:
        """The settings of a job as one line of JSON: what a rule hands to the command, and what Snakemake tracks."""
        return canonical_json(self.job(kind, keys).settings)

    def inputs(self, kind: str, keys: Mapping[str, str]) -> dict[str, str]:
        """The input files of a job by name."""
        return {key: str(job.output) for key, job in self.job(kind, keys).inputs.items()}

    def cells(self, *kinds: str) -> Iterator[tuple[str, Keys, list[Job]]]:
        """Each (evaluation, wildcards of the run and method, jobs that fill it) of the benchmark, without repetition.

        Args:
            kinds: kinds of evaluation to keep ("linear", "semi", ...); none: all.
        """
        seen: set[tuple[str, ...]] = set()
        for block in self.config.benchmark:
            for seed in block.seeds or self.config.seeds:
                for protocol in block.protocols:
                    for method in block.methods:
                        for evaluation in block.evaluations:
                            if kinds and self.config.evaluations[evaluation].kind not in kinds:
                                continue
                            cell = (block.dataset, protocol, method, str(seed), evaluation)
                            if cell in seen:
                                continue
                            seen.add(cell)
                            keys = {"dataset": block.dataset, "protocol": protocol, "method": method, "seed": str(seed)}
                            yield evaluation, keys, self._evaluation_jobs(evaluation, keys)

    def _evaluation_jobs(self, name: str, keys: Keys) -> list[Job]:
        evaluation = self.config.evaluations[name]
        if isinstance(evaluation, Linear | Knn):
            return [self.job("frozen", keys)]
        draws = evaluation.draws if isinstance(evaluation, Semi) else (0,)
        return [self.job("tuned", {**keys, "evaluation": name, "draw": str(draw)}) for draw in draws]

    def evaluation_jobs(self, *kinds: str) -> list[Job]:
        """The jobs whose rows the tables are gathered from, each once."""
        return list({job.name: job for _, _, jobs in self.cells(*kinds) for job in jobs}.values())

    def all_jobs(self) -> list[Job]:
        """Every job of the benchmark, inputs before what is built on them."""
        ordered: dict[JobName, Job] = {}

        def visit(job: Job) -> None:
            if job.name not in ordered:
                for part in job.inputs.values():
                    visit(part)
                ordered[job.name] = job

        for job in self.evaluation_jobs():
            visit(job)
        return list(ordered.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the tables depend on."""
        return digest_of([job.digest for job in self.evaluation_jobs()])
