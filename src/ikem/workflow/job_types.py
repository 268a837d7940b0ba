"""The kinds of jobs: for each the file it ends with, and how its settings and inputs follow from the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


def job_name(kind: str, keys: Mapping[str, str], **more: str) -> JobName:
    """The name of a job from its kind and wildcards."""
    return JobName(kind, tuple(sorted({**keys, **more}.items())))


def _only(keys: Mapping[str, str], *names: str) -> Keys:
    return {name: keys[name] for name in names}


def _dataset(config: Config, keys: Keys) -> Dataset:
    return config.datasets[keys["dataset"]]


def _skeleton(config: Config, keys: Keys) -> dict[str, Any]:
    """The skeleton by name, and a digest of what its definition says: a file of one's own may change under its name."""
    name = _dataset(config, keys).skeleton
    return {"skeleton": name, "skeleton_digest": load_skeleton(name).digest}


def _make(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    assert dataset.synthetic is not None
    return {"synthetic": dataset.synthetic.model_dump()}, {}


def _acquire(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    if dataset.synthetic is not None:
        return {"role": keys["role"]}, {"made": job_name(f"make_{dataset.format}", _only(keys, "dataset"))}
    archives = {role: archive.model_dump() for role, archive in dataset.archives.items()}
    return {"role": keys["role"], "archives": archives}, {}


def _decode(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    settings = dataset.model_dump(include={"format", "missing_list", "decode"}) | _skeleton(config, keys)
    return settings, {role: job_name("acquire", keys, role=role) for role in roles(dataset)}


def _prepare(config: Config, keys: Keys) -> Description:
    settings = _dataset(config, keys).model_dump(include={"prepare"}) | _skeleton(config, keys)
    return settings, {"decoded": job_name("decode", keys)}


def _modality(config: Config, keys: Keys) -> Description:
    settings = {"modality": keys["modality"], **_skeleton(config, keys)}
    return settings, {"prepared": job_name("prepare", _only(keys, "dataset"))}


def _split(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    settings = {"protocol": dataset.protocols[keys["protocol"]].model_dump(), "partial": dataset.partial}
    return settings, {"prepared": job_name("prepare", _only(keys, "dataset"))}


def _draw(config: Config, keys: Keys) -> Description:
    settings = {"fraction": float(keys["fraction"]), "sampling": keys["sampling"], "draw": int(keys["draw"])}
    return settings, {"split": job_name("split", _only(keys, "dataset", "protocol"))}


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
        "prepared": job_name("prepare", _only(keys, "dataset")),
        "split": job_name("split", _only(keys, "dataset", "protocol")),
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
    return settings, inputs | {keys["modality"]: job_name("stage1", keys)}


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
        modality: job_name("stage1", run, recipe=method.recipe, modality=modality) for modality in method.modalities
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
        return {name: job_name("skeletonclr", run, recipe=method.recipe, modality=name) for name in method.modalities}
    if method.kind == "supervised":
        return {name: job_name("supervised", run, method=method_name, modality=name) for name in method.modalities}
    kind = "exchange" if method.kind in ("crossclr", "ikem") else method.kind
    return {name: job_name(kind, run, method=method_name) for name in method.modalities}


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
    inputs = {f"modality_{name}": job_name("modality", dataset, modality=name) for name in method.modalities}
    states = encoder_states(config, keys, keys["method"])
    return settings, inputs | {f"state_{name}": state for name, state in states.items()}


def _embed(config: Config, keys: Keys) -> Description:
    method = config.methods[keys["method"]]
    settings, inputs = _encoders(config, keys)
    if isinstance(method, Random) and method.standardise:
        inputs["split"] = job_name("split", _only(keys, "dataset", "protocol"))
    return settings, inputs


def _labels(config: Config, keys: Keys) -> tuple[dict[str, Any], dict[str, JobName]]:
    """How a row of results is named, and where its labels come from."""
    names: dict[str, Any] = _only(keys, "dataset", "protocol", "method") | {"seed": int(keys["seed"])}
    return {"row": names}, {
        "prepared": job_name("prepare", _only(keys, "dataset")),
        "split": job_name("split", _only(keys, "dataset", "protocol")),
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
    return settings, inputs | {"embeddings": job_name("embed", keys)}


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
        inputs["draw"] = job_name("draw", place, fraction=fraction, sampling=evaluation.sampling)
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
