"""The types of jobs: for each the file it ends with, how its settings and inputs follow from the config, and its code.

Data jobs are written out here. A training job follows from each stage of a registered method, an evaluation job from
each registered evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ikem.evaluations.declaration import Evaluation
from ikem.evaluations.registry import EVALUATIONS
from ikem.methods.declaration import RUN, Stage, StageContext
from ikem.methods.registry import METHODS, STAGES, encoder_states
from ikem.registry import JobName, job_name, subset
from ikem.settings.benchmark import Config
from ikem.settings.data import Dataset
from ikem.settings.methods import MethodOptions
from ikem.skeleton import load_skeleton
from ikem.synthetic.settings import RAW_FILES

Keys = Mapping[str, str]
Description = tuple[dict[str, Any], dict[str, JobName]]
_RUN = "{dataset}/{protocol}/seed{seed}"


@dataclass(frozen=True)
class JobType:
    """A type of job.

    Attributes:
        output: pattern of the file that it ends with, below the results folder.
        describe: settings and inputs of a job, from the config and its wildcards.
        run: "module:function" that does the work; takes (job, inputs, options), returns further files it wrote.
        summary: what it does, in a sentence.
        group: which entry of `compute` its resources are.
        priority: of its rule; what much else waits for runs first.
    """

    output: str
    describe: Callable[[Config, Keys], Description]
    run: str
    summary: str
    group: Literal["data", "train", "evaluate", "report"] = "data"
    priority: int = 0


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
        source = job_name(f"make_{dataset.format}", subset(keys, "dataset"))
        return {"role": keys["role"]}, {"synthetic": source}
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
    if config.compute.backend != "auto":  # left out otherwise: results from before it was a setting keep their digest
        settings["backend"] = config.compute.backend
    return settings, {"prepared": job_name("prepare", subset(keys, "dataset"))}


def _split(config: Config, keys: Keys) -> Description:
    dataset = _dataset(config, keys)
    settings = {
        "protocol": dataset.protocols[keys["protocol"]].job_settings(),
        "partial": dataset.partial,
        "classes": len(dataset.class_names) or None,
        **({"absent_classes": dataset.absent_classes} if dataset.absent_classes else {}),
    }
    return settings, {"prepared": job_name("prepare", subset(keys, "dataset"))}


def _label_subset(config: Config, keys: Keys) -> Description:
    settings = {"fraction": float(keys["fraction"]), "sampling": keys["sampling"], "number": int(keys["number"])}
    return settings, {"split": job_name("split", subset(keys, "dataset", "protocol"))}


def roles(dataset: Dataset) -> list[str]:
    """The raw files of a dataset by role."""
    if dataset.synthetic is not None:
        return list(RAW_FILES[dataset.format])
    return list(dataset.archives)


def _data_and_split(keys: Keys) -> dict[str, JobName]:
    return {
        "prepared": job_name("prepare", subset(keys, "dataset")),
        "split": job_name("split", subset(keys, "dataset", "protocol")),
    }


def _stage(stage: Stage, config: Config, keys: Keys) -> Description:
    """A training job."""
    context = StageContext(config, dict(keys))
    recipe = context.recipe
    settings = {
        "seed": int(keys["seed"]),
        **_skeleton(config, keys),
        "modalities": context.modalities,
        "encoder": recipe.encoder.model_dump(),
        "augmentations": recipe.model_dump(mode="json")["augmentations"],
        "drop_last": recipe.drop_last,
        "precision": recipe.precision,
        "threads": config.compute.threads,
        "backend": config.compute.backend,
        **({"compile": True} if config.compute.compile else {}),
        **stage.settings(context),
    }
    return settings, _data_and_split(keys) | stage.inputs(context)


def _encoders(config: Config, keys: Keys) -> Description:
    """What every job that evaluates a method's encoders needs."""
    method = config.methods[keys["method"]]
    recipe = config.recipes[method.recipe]
    settings = {
        "modalities": list(method.modalities),
        **_skeleton(config, keys),
        "encoder": recipe.encoder.model_dump(),
        "encoder_prefix": METHODS[method.kind].stages[-1].encoder,
        "precision": recipe.precision,
        "threads": config.compute.threads,
        "backend": config.compute.backend,
    }
    states = encoder_states(config, keys, keys["method"])
    return settings, {f"state_{name}": state for name, state in states.items()}


def _embed(config: Config, keys: Keys) -> Description:
    """Encoders run over the clips that they were pretrained on, or over those of a target."""
    method = config.methods[keys["method"]]
    settings, inputs = _encoders(config, keys)
    dataset, protocol = keys.get("target", keys["dataset"]), keys.get("target_protocol", keys["protocol"])
    inputs |= {
        f"modality_{name}": job_name("modality", {"dataset": dataset}, modality=name) for name in method.modalities
    }
    if _standardized(config, method):
        inputs["split"] = job_name("split", {"dataset": dataset, "protocol": protocol})
    return settings, inputs


def _standardized(config: Config, method: MethodOptions) -> bool:
    recipe = config.recipes[method.recipe].standardize
    return recipe if method.standardize is None else method.standardize


def _evaluation(evaluation: Evaluation, config: Config, keys: Keys) -> Description:
    """An evaluation job.

    Its clips are those of the pretraining, or of a target; then the former are inputs, too: they must not be tested.
    """
    options = config.evaluations[keys["evaluation"]]
    method_keys = subset(keys, *RUN, "method")
    row = subset(keys, "dataset", "protocol", "method", "evaluation") | {"seed": int(keys["seed"])}
    settings: dict[str, Any] = {
        "seed": int(keys["seed"]), "row": row, "options": options.model_dump(mode="json", exclude={"target"}),
    }  # fmt: skip
    if hasattr(options, "schedule"):
        settings["options"]["schedule"] = options.schedule.job_settings() | {"epochs": options.schedule.epochs}
    if options.tested_classes is not None:
        settings["classes"] = list(options.tested_classes)
    pretraining = _data_and_split(keys)
    clips, embed = subset(keys, "dataset", "protocol"), job_name("embed", method_keys)
    if options.target is not None:
        clips = options.target.model_dump()
        embed = job_name("embed_target", method_keys, target=clips["dataset"], target_protocol=clips["protocol"])
    inputs = _data_and_split(clips)
    if options.target is not None:
        inputs |= {"pretraining": pretraining["prepared"], "pretraining_split": pretraining["split"]}
    for name, entry in options.builds_on.items():
        inputs[f"builds_on_{name}"] = job_name(config.evaluations[entry].kind, method_keys, evaluation=entry)
    if evaluation.runs_on != "encoder":
        inputs["embeddings"] = embed
    if evaluation.runs_on == "embeddings":
        modalities = list(config.methods[keys["method"]].modalities)
        return settings | {"modalities": modalities, "threads": config.compute.threads}, inputs
    encoders, states = _encoders(config, method_keys)
    settings |= encoders
    if evaluation.runs_on == "frozen-encoder":
        settings["standardized"] = _standardized(config, config.methods[keys["method"]])
    for number in options.subset_numbers:
        fraction = {"fraction": f"{options.fraction:g}", "sampling": options.sampling, "number": str(number)}
        inputs[f"label_subset_{number}"] = job_name("label_subset", clips, **fraction)
    return settings, inputs | states


def processes_of(config: Config, settings: Mapping[str, Any]) -> int:
    """How many processes share a job with these settings: as the config says, but at most one for each modality."""
    wanted = config.compute.processes_per_job.get(settings["kind"], 1)
    return min(wanted, len(settings["modalities"])) if wanted > 1 else 1


_DATA = "ikem.workflow.data_jobs"
_FIRST = 1000
"""Priority of data jobs: everything waits for them."""


def _priority(stage: Stage, before: tuple[Stage, ...] = ()) -> int:
    """How many stages may follow one another from this one on; in a circle (a student may teach) each once."""
    teachers = {method.stages[-1].name for method in METHODS.values() if method.teaches}
    later = [
        _priority(other, (*before, stage))
        for other in STAGES.values()
        if other not in (*before, stage)
        and (
            any(part.name == stage.name for part in other.follows)
            or (other.learns_from_teacher and stage.name in teachers)
        )
    ]
    return 10 + max(later, default=0)


JOB_TYPES: dict[str, JobType] = {
    "make_ntu": JobType(
        "{dataset}/raw/skeletons.zip", _make, f"{_DATA}:make_ntu",
        "Generate recordings in the raw form of NTU RGB+D: a zip of .skeleton files, and the list of missing ones.",
        priority=_FIRST,
    ),
    "make_pkummd": JobType(
        "{dataset}/raw/skeletons.7z", _make, f"{_DATA}:make_pkummd",
        "Generate recordings in the raw form of PKU-MMD: untrimmed videos and labels in 7z archives, and split files.",
        priority=_FIRST,
    ),
    "acquire": JobType(
        "{dataset}/archives/{role}.json", _acquire, f"{_DATA}:acquire",
        "Locate a raw archive in the data folder, or download it; write its path and what it is.", priority=_FIRST,
    ),
    "decode": JobType(
        "{dataset}/decoded/samples.csv", _decode, f"{_DATA}:decode",
        "Read the clips of all archives of a dataset; list the rejected ones.", priority=_FIRST,
    ),
    "prepare": JobType(
        "{dataset}/prepared/position.npy", _prepare, f"{_DATA}:prepare",
        "Center, resize and align all clips: one prepared copy for every split.", priority=_FIRST,
    ),
    "modality": JobType(
        "{dataset}/modalities/{modality}.npy", _modality, f"{_DATA}:modality",
        "Generate the array of one modality from the prepared positions.", priority=_FIRST,
    ),
    "split": JobType(
        "{dataset}/splits/{protocol}.json", _split, f"{_DATA}:split",
        "Split a dataset by a protocol: lists of indices, counted.", priority=_FIRST,
    ),
    "label_subset": JobType(
        "{dataset}/label_subsets/{protocol}/{sampling}-{fraction}-{number}.txt", _label_subset,
        f"{_DATA}:label_subset",
        "Draw the labeled clips of a semi-supervised evaluation: a file of clip names.", priority=_FIRST,
    ),
    **{
        name: JobType(
            stage.output, partial(_stage, stage), "ikem.workflow.training_job:run_stage", stage.summary,
            group="train", priority=_priority(stage),
        )
        for name, stage in STAGES.items()
    },
    "embed": JobType(
        _RUN + "/embed/{method}/embeddings.safetensors", _embed, "ikem.workflow.evaluation_jobs:embed",
        "Run each frozen encoder of a method once over all clips.", group="evaluate",
    ),
    "embed_target": JobType(
        _RUN + "/embed_target/{method}/{target}/{target_protocol}/embeddings.safetensors", _embed,
        "ikem.workflow.evaluation_jobs:embed",
        "Run each frozen encoder of a method once over all clips of another dataset.", group="evaluate",
    ),
    **{
        name: JobType(
            f"{_RUN}/{name}/{{method}}/{{evaluation}}.json", partial(_evaluation, evaluation),
            "ikem.workflow.evaluation_jobs:evaluate", evaluation.summary, group="evaluate",
        )
        for name, evaluation in EVALUATIONS.items()
    },
}  # fmt: skip
"""Every type of job by name; the names of its rule and in `status` are the same."""
