"""The classifiers of a linear evaluation on corrupted test clips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ikem.errors import InputError
from ikem.evaluations.corruption.corrupt import corrupt
from ikem.evaluations.corruption.evaluation import CorruptionOptions
from ikem.evaluations.linear.classifiers import apply_classifiers
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.evaluations.rows import kept_path
from ikem.evaluations.task import FrozenEncoderTask, Outcome
from ikem.training.checkpoint import load_tensors

_CHUNK = 256
"""Clips corrupted and embedded at a time."""


def evaluate(task: FrozenEncoderTask) -> Iterator[Outcome]:
    """Yield each modality, then the fusion, for each corruption.

    Raises:
        InputError: the classifiers are missing, damaged, or of other modalities.
    """
    path = kept_path(task.builds_on["classifier"], CLASSIFIERS)
    classifiers, about = load_tensors(path)
    if about != {"modalities": list(task.modalities)}:
        raise InputError("holds classifiers of other modalities", location=str(path), hint="Delete it and run again")
    test = task.labels.test
    for corruption in CorruptionOptions.model_validate(task.options).corruptions:
        parts = []
        for indices in np.split(test, range(_CHUNK, len(test), _CHUNK)):
            names = [str(name) for name in task.labels.names[indices]]
            corrupted = corrupt(task.position[indices], names, corruption, task.skeleton, task.seed)
            parts.append(task.embed(corrupted, indices))
            task.interrupt()
        embeddings = torch.cat(parts, dim=1)
        on_device = {name: value.to(embeddings.device) for name, value in classifiers.items()}
        single, fused = apply_classifiers(on_device, embeddings)
        for index, modality in enumerate(task.modalities):
            yield Outcome([modality], single[index], condition=corruption.condition)
        if fused is not None:
            yield Outcome(task.modalities, fused, condition=corruption.condition)
