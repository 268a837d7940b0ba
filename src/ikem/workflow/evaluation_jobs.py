"""Jobs that evaluate: embeddings of frozen encoders, and every registered evaluation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ikem.data.splits import read_label_subset, read_split
from ikem.data.store import load_samples, open_array
from ikem.errors import InputError
from ikem.evaluations.embed import FrozenEncoders, embed_modalities, job_encoder, standardizations
from ikem.evaluations.registry import EVALUATIONS
from ikem.evaluations.rows import Labels, Rows, kept_path, read_labels
from ikem.evaluations.task import EmbeddingTask, EncoderTask, FrozenEncoderTask
from ikem.registry import load
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.workflow.device import one_device
from ikem.workflow.run_context import RunContext

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ikem.workflow.execute import Inputs, Options

logger = logging.getLogger("ikem")


def embed(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Embed all clips by each encoder: (N, D) float32 for each modality, rows as in samples.csv."""
    torch.set_num_threads(job.settings["threads"])
    with one_device(options.device, job) as device:
        embeddings = embed_modalities(job, _by_modality(job, inputs, "modality"), _by_modality(job, inputs, "state"),
                                      inputs.get("split"), device)  # fmt: skip
    save_tensors(job.output, embeddings, {"digest": job.digest})
    return []


def evaluate(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Run an evaluation; it ends with rows of results, and stores scores and confusion matrices next to them."""
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    evaluation = EVALUATIONS[settings["kind"]]
    labels = read_labels(inputs["prepared"], inputs["split"], settings.get("classes"), _pretraining_clips(inputs))
    rows = Rows(settings["row"], labels)
    keep = {part: kept_path(job.output, part) for part in evaluation.keeps}
    with one_device(options.device, job) as device:
        task: EmbeddingTask | FrozenEncoderTask | EncoderTask
        if evaluation.runs_on == "embeddings":
            loaded, _ = load_tensors(inputs["embeddings"])
            embeddings = torch.stack([loaded[name] for name in settings["modalities"]]).to(device)
            task = EmbeddingTask(
                settings["options"], settings["modalities"], embeddings, labels, settings["seed"],
                job.leave_if_asked, keep,
            )  # fmt: skip
        elif evaluation.runs_on == "frozen-encoder":
            task = _frozen_encoder_task(job, inputs, labels, device)
        else:
            subsets = _label_subsets(inputs, labels.train)
            states = _by_modality(job, inputs, "state")
            task = EncoderTask(
                settings["options"], job, states, inputs["prepared"], labels, subsets, device,
                options.checkpoint_minutes,
            )  # fmt: skip
        for outcome in load(evaluation.run)(task):
            row = rows.add(outcome)
            headline = evaluation.metrics[0]
            part = "" if outcome.label_subset is None else f", label subset {outcome.label_subset}"
            part += f", {outcome.condition}" if outcome.condition else ""
            logger.info("%s%s: %s %.2f", row["streams"], part, headline, row["metrics"][headline])
            job.leave_if_asked()
    return [*rows.write(job.output), *keep.values()]


def _frozen_encoder_task(job: RunContext, inputs: Inputs, labels: Labels, device: torch.device) -> FrozenEncoderTask:
    """Encoders embed as they did when the clean embeddings were computed, and are standardized by the same numbers."""
    settings, stored = job.settings, load_tensors(inputs["embeddings"])[0]
    how = standardizations(stored, settings["modalities"])
    if settings["standardized"] and not how:
        raise InputError(
            "does not say how embeddings are standardized",
            location=str(inputs["embeddings"]),
            hint="Delete it and run again",
        )
    states, skeleton = _by_modality(job, inputs, "state"), load_skeleton(settings["skeleton"])
    networks = {name: job_encoder(settings, states, name) for name in settings["modalities"]}
    encoders = FrozenEncoders(networks, skeleton, settings["precision"], how, device)
    frames = load_samples(inputs["prepared"].with_name("samples.csv"))["frames"].to_numpy(np.int64)
    prefix = "builds_on_"
    return FrozenEncoderTask(
        settings["options"],
        settings["modalities"],
        open_array(inputs["prepared"]),
        labels,
        skeleton,
        lambda position, indices: encoders(position, frames[indices]).to(device),
        {name.removeprefix(prefix): path for name, path in inputs.items() if name.startswith(prefix)},
        settings["seed"],
        job.leave_if_asked,
    )


def _pretraining_clips(inputs: Inputs) -> frozenset[str]:
    """Names of the clips that encoders were pretrained on, where that was on another split than is evaluated."""
    if "pretraining" not in inputs:
        return frozenset()
    names = load_samples(inputs["pretraining"].with_name("samples.csv"))["name"].to_numpy(object)
    return frozenset(names[read_split(inputs["pretraining_split"])["train"]])


def _by_modality(job: RunContext, inputs: Inputs, prefix: str) -> dict[str, Path]:
    return {name: inputs[f"{prefix}_{name}"] for name in job.settings["modalities"]}


def _label_subsets(inputs: Inputs, train: NDArray[np.int64]) -> dict[int | None, NDArray[np.int64]]:
    """Clip numbers of each label subset among the inputs, or all training clips."""
    prefix = "label_subset_"
    paths = {int(name.removeprefix(prefix)): path for name, path in inputs.items() if name.startswith(prefix)}
    if not paths:
        return {None: train}
    names = load_samples(inputs["prepared"].with_name("samples.csv"))["name"].to_numpy()
    subsets: dict[int | None, NDArray[np.int64]] = {}
    for number, path in sorted(paths.items()):
        subsets[number] = np.flatnonzero(np.isin(names, read_label_subset(path)))
        if not len(subsets[number]):
            raise InputError("names no clip of this dataset", location=str(path), hint="Delete it and run again")
    return subsets
