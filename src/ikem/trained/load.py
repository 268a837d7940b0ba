"""A trained method in memory: from the results that hold it, or from a folder that `export` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ikem.data.store import bodies_of, load_samples
from ikem.encoders.registry import ENCODERS, build_encoder
from ikem.errors import InputError
from ikem.evaluations.embed import Standardization, job_encoder, standardizations
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.evaluations.registry import EVALUATIONS
from ikem.evaluations.rows import kept_path
from ikem.methods.registry import METHODS
from ikem.report.labels import naming_of
from ikem.report.records import read_records
from ikem.report.results import read_rows
from ikem.skeleton import definition_of, load_skeleton
from ikem.trained.description import CONFIG, Description, Figure, Provenance, read_description
from ikem.trained.selection import Options, Run, classifiers_of, evaluation_of, select_classifier, select_run
from ikem.training.checkpoint import load_tensors
from ikem.workflow.plan import Job
from ikem.workflow.staleness import fault_of

TENSORS = "model.safetensors"

_CLASSIFIER = "classifier."


@dataclass(frozen=True)
class Trained:
    """A trained method.

    Attributes:
        description: all but the tensors.
        tensors: `{modality}.encoder.*`, parameters and buffers of the encoders; `{modality}.mean` and
            `{modality}.scale`, (D,) float64, where embeddings are standardized; `classifier.*`, what a linear
            evaluation kept, if the description names one.
    """

    description: Description
    tensors: Mapping[str, Tensor]

    def encoders(self) -> dict[str, nn.Module]:
        """The encoder of each modality, in evaluation mode.

        Raises:
            InputError: the tensors are not those of the described encoders.
        """
        skeleton = self.description.built_skeleton()
        found: dict[str, nn.Module] = {}
        for modality in self.description.modalities:
            encoder = build_encoder(self.description.encoder, skeleton)
            try:
                encoder.load_state_dict(self._below(f"{modality}.encoder."))
            except RuntimeError as error:
                words = " ".join(str(error).split())
                raise InputError(f"holds no such encoder of {modality} ({words})", location=TENSORS) from error
            found[modality] = encoder.eval()
        return found

    def standardizations(self) -> dict[str, Standardization]:
        """How embeddings are standardized, of each modality; {} if they are not."""
        return standardizations(self.tensors, self.description.modalities)

    def classifiers(self) -> dict[str, Tensor]:
        """What `apply_classifiers` takes; {} if there are none."""
        return self._below(_CLASSIFIER)

    def _below(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def load_trained(path: Path, options: Options = Options(), classifier: bool = False) -> Trained:
    """Read what a path means: a trained method of results, or an exported encoder.

    Args:
        path: see `ikem.trained.selection.select_run`; or a folder that `export` wrote.
        options: what narrows a path of results.
        classifier: whether a classifier is needed; else one is included if exactly one is meant.

    Raises:
        InputError: nothing or too much is meant, or files are missing, damaged, or of other settings than the plan's.
    """
    if (path / CONFIG).is_file():
        return _from_folder(path, options, classifier)
    if classifier:
        run, evaluation = select_classifier(path, options)
        return _from_results(run, evaluation)
    run = select_run(path, options)
    found = classifiers_of(run, path, options)
    return _from_results(run, found[0] if len(found) == 1 else None)


def only(trained: Trained, modality: str) -> Trained:
    """One modality of several, with its own classifier.

    Raises:
        InputError: there is no such modality.
    """
    had = trained.description.modalities
    if modality not in had:
        raise InputError(f"there is no encoder of {modality}", hint=f"There are {', '.join(had)}")
    index = had.index(modality)
    tensors = {name: value for name, value in trained.tensors.items() if name.startswith(f"{modality}.")}
    for name in ("single.weight", "single.bias"):
        if (value := trained.tensors.get(f"{_CLASSIFIER}{name}")) is not None:
            tensors[f"{_CLASSIFIER}{name}"] = value[index : index + 1]
    about = trained.description
    figures = tuple(figure for figure in about.provenance.figures if figure.streams == modality)
    provenance = about.provenance.model_copy(update={"figures": figures})
    return Trained(about.model_copy(update={"modalities": (modality,), "provenance": provenance}), tensors)


def _from_folder(folder: Path, options: Options, classifier: bool) -> Trained:
    description = read_description(folder)
    for name in ("dataset", "protocol", "method", "evaluation", "seed"):
        value, found = getattr(options, name), str(getattr(description, name))
        if value not in (None, found):
            raise InputError(f"its {name} is {found or 'none'}, not {value}", location=str(folder / CONFIG))
    tensors, about = load_tensors(folder / TENSORS)
    if about != {"model_type": description.model_type}:
        raise InputError("is not of an exported encoder", location=str(folder / TENSORS), hint="Export it again")
    trained = Trained(description, tensors)
    kept, counts = trained.classifiers(), (len(description.modalities), len(description.classes))
    if (
        bool(description.evaluation) != bool(kept)
        or description.standardized != bool(trained.standardizations())
        or (kept and not _fit(kept, counts))
    ):
        hint = "Export it again"
        raise InputError("does not fit to the config.json next to it", location=str(folder / TENSORS), hint=hint)
    if classifier and not description.evaluation:
        hint = "Export it again with --evaluation and an evaluation that keeps its classifiers, such as linear"
        raise InputError("has no classifier", location=str(folder), hint=hint)
    return trained


def _fit(classifiers: Mapping[str, Tensor], counts: tuple[int, int]) -> bool:
    """Whether there are all classifiers of so many modalities, of so many classes."""
    parts = ("single", "fused") if counts[0] > 1 else ("single",)
    if not {f"{part}.{name}" for part in parts for name in ("weight", "bias")} <= classifiers.keys():
        return False
    return all(classifiers[f"{part}.weight"].shape[::2] == counts for part in parts)


def _from_results(run: Run, evaluation: Job | None) -> Trained:
    """The encoders of a run, with the classifier of an evaluation."""
    embed = run.embed if evaluation is None else evaluation.inputs["embeddings"]
    prepared = next(job for job in embed.inputs.values() if job.name.kind == "modality").inputs["prepared"]
    standardized = "split" in embed.inputs
    _check([*run.states.values(), *([embed] if standardized else []), *([evaluation] if evaluation else [])])
    states = {name: job.output for name, job in run.states.items()}
    tensors: dict[str, Tensor] = {}
    for name in run.states:
        encoder = job_encoder(embed.settings, states, name).state_dict()
        tensors |= {f"{name}.encoder.{part}": value for part, value in encoder.items()}
    if standardized:
        stored, _ = load_tensors(embed.output)
        tensors |= {f"{name}.{part}": stored[f"{name}.{part}"] for name in states for part in ("mean", "scale")}
    description = _describe(run, embed, bodies_of(load_samples(prepared.output.with_name("samples.csv"))))
    if evaluation is None:
        return Trained(description, tensors)
    path = kept_path(evaluation.output, CLASSIFIERS)
    classifiers, about = load_tensors(path)
    if about != {"modalities": list(states)}:
        raise InputError("holds classifiers of other modalities", location=str(path), hint="Delete it and run again")
    tensors |= {f"{_CLASSIFIER}{name}": value for name, value in classifiers.items()}
    names = _class_names(run, dict(prepared.name.keys)["dataset"], classifiers["single.weight"].shape[2])
    return Trained(description.model_copy(update={"evaluation": evaluation_of(evaluation), "classes": names}), tensors)


def _check(jobs: Iterable[Job]) -> None:
    """Raise InputError unless each job has the result that the plan asks for."""
    for job in jobs:
        fault = fault_of(job, thorough=False)
        if fault is not None:
            hint = "Run the config of this results folder again; `python -m ikem status CONFIG` shows what is stale"
            raise InputError(fault, location=str(job.output), hint=hint)


def _describe(run: Run, embed: Job, bodies: int) -> Description:
    config, keys, settings = run.plan.config, run.keys, embed.settings
    clips = config.datasets[dict(embed.name.keys).get("target", keys["dataset"])]
    return Description(
        dataset=keys["dataset"],
        protocol=keys["protocol"],
        seed=int(keys["seed"]),
        method=keys["method"],
        modalities=tuple(settings["modalities"]),
        encoder=config.recipes[config.methods[keys["method"]].recipe].encoder,
        precision=settings["precision"],
        skeleton=definition_of(load_skeleton(clips.skeleton)),
        bodies=bodies,
        body_rule=clips.decode.bodies,
        trim_empty=clips.decode.trim_empty,
        prepare=clips.prepare,
        standardized="split" in embed.inputs,
        provenance=_provenance(run),
    )


def _provenance(run: Run) -> Provenance:
    config, keys, naming = run.plan.config, run.keys, naming_of(run.plan.config)
    dataset, method = config.datasets[keys["dataset"]], config.methods[keys["method"]]
    encoder = config.recipes[method.recipe].encoder
    sources = (METHODS[method.kind].source, ENCODERS[encoder.kind].source, dataset.cited)
    records, _ = read_records(job.record for job in run.states.values())
    terms = (archive.terms for archive in dataset.archives.values() if archive.terms)
    figures = [
        Figure(
            evaluation=naming.evaluation(entry),
            condition=row.condition,
            streams=row.streams,
            top1=row.metrics["top1"],
            complete=row.complete,
        )
        for entry, job in run.evaluations.items()
        if EVALUATIONS[job.name.kind].runs_on != "encoder"  # those train the encoders further
        if job.output.exists() and fault_of(job, thorough=False) is None
        for row in read_rows(job.output)
        if "top1" in row.metrics
    ]
    return Provenance(
        title=naming.method(keys["method"]),
        dataset_title=dataset.title,
        synthetic=dataset.synthetic is not None,
        terms=tuple(dict.fromkeys(terms)),
        sources=tuple(dict.fromkeys(str(source) for source in sources if source)),
        commit=", ".join(dict.fromkeys(record.commit for record in records)) or "unknown",
        versions=records[0].versions if records else {},
        figures=tuple(figures),
    )


def _class_names(run: Run, dataset: str, count: int) -> tuple[str, ...]:
    """Names of the labels 0 to count - 1: those of the config, else their numbers."""
    names = naming_of(run.plan.config).classes.get(dataset, ())
    return tuple(names[label] if label < len(names) else str(label) for label in range(count))


def device_of(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto": a GPU where there is one.

    Raises:
        InputError: there is no such device here.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {name!r}", hint="Use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU can be used here", location="device", hint="Use auto or cpu")
    return torch.device("cpu" if name == "cpu" or not torch.cuda.is_available() else "cuda")
