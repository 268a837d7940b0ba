"""Jobs that evaluate: embeddings of frozen encoders, and every registered evaluation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ikem.data.splits import read_label_subset
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.evaluations.embed import embed_modalities
from ikem.evaluations.registry import EVALUATIONS
from ikem.evaluations.rows import Rows, read_labels
from ikem.evaluations.task import EmbeddingTask, EncoderTask
from ikem.registry import load
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
    labels = read_labels(inputs["prepared"], inputs["split"])
    rows = Rows(settings["row"], labels)
    with one_device(options.device, job) as device:
        task: EmbeddingTask | EncoderTask
        if evaluation.runs_on == "embeddings":
            loaded, _ = load_tensors(inputs["embeddings"])
            embeddings = torch.stack([loaded[name] for name in settings["modalities"]]).to(device)
            task = EmbeddingTask(
                settings["options"], settings["modalities"], embeddings, labels, settings["seed"], job.leave_if_asked
            )
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
            logger.info("%s%s: %s %.2f", row["streams"], part, headline, row["metrics"][headline])
            job.leave_if_asked()
    return rows.write(job.output)


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
