"""All evaluations of a method's frozen embeddings, gathered in one job: linear and nearest neighbours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.evaluations.knn import knn_scores
from ikem.evaluations.linear import linear_evaluation
from ikem.evaluations.rows import Labelled, Rows, read_labelled
from ikem.training.checkpoint import load_tensors
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job

logger = logging.getLogger("ikem")


def evaluate_frozen(job: Job, embeddings: Path, position: Path, split: Path, device: str = "auto") -> list[Path]:
    """Run a `frozen` job; returns the files written beside the output."""
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    held, _ = load_tensors(embeddings)
    labelled = read_labelled(position, split)
    rows = Rows(settings["row"], labelled)
    with one_device(device, job) as chosen:
        stacked = torch.stack([held[modality] for modality in settings["modalities"]])
        train, test = (stacked[:, torch.from_numpy(part)].to(chosen) for part in (labelled.train, labelled.test))
        labels = torch.from_numpy(labelled.labels).to(chosen)
        for name, evaluation in settings["evaluations"].items():
            EVALUATIONS[evaluation["kind"]](job, name, evaluation, train, test, labels, labelled, rows)
            job.leave_if_asked()
    return rows.write(job.output)


def _linear(
    job: Job,
    name: str,
    evaluation: dict[str, Any],
    train: Tensor,
    test: Tensor,
    labels: Tensor,
    labelled: Labelled,
    rows: Rows,
) -> None:
    train_rows, test_rows = (torch.from_numpy(part).to(labels.device) for part in (labelled.train, labelled.test))
    modalities = job.settings["modalities"]
    result = linear_evaluation(
        train,
        labels[train_rows],
        test,
        labels[test_rows],
        labelled.classes,
        evaluation["schedule"],
        int(job.settings["row"]["seed"]),
        lambda epoch: job.leave_if_asked(),
    )
    for place, modality in enumerate(modalities):
        top1 = rows.add(name, [modality], result.single[place], len(labelled.train), result.history[:, place])
        logger.info("%s: %s %.2f %%", name, modality, top1)
    if result.fused is not None:
        top1 = rows.add(name, modalities, result.fused, len(labelled.train), result.history[:, -1])
        logger.info("%s: fusion %.2f %%", name, top1)


def _knn(
    job: Job,
    name: str,
    evaluation: dict[str, Any],
    train: Tensor,
    test: Tensor,
    labels: Tensor,
    labelled: Labelled,
    rows: Rows,
) -> None:
    train_labels = labels[torch.from_numpy(labelled.train).to(labels.device)]
    modalities = job.settings["modalities"]
    chosen = [[place] for place in range(len(modalities))]
    if len(modalities) > 1:
        chosen.append(list(range(len(modalities))))
    for places in chosen:
        scores = knn_scores(train[places], train_labels, test[places], labelled.classes, evaluation["k"])
        top1 = rows.add(name, [modalities[place] for place in places], scores, len(labelled.train))
        logger.info("%s: %s %.2f %%", name, "+".join(modalities[place] for place in places), top1)


EVALUATIONS: dict[str, Callable[..., None]] = {"linear": _linear, "knn": _knn}
"""Evaluations of frozen embeddings, by kind."""
