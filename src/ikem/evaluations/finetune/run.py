"""Fine-tuning: each modality by itself, the fusion is the mean of their logits."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.encoders.registry import encoder_options
from ikem.errors import InputError
from ikem.evaluations.embed import load_encoder
from ikem.evaluations.task import EncoderTask, Outcome
from ikem.files import digest_of
from ikem.modalities import generate
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.training.classifier import ClassifierTrainer
from ikem.training.loader import Clips
from ikem.training.loop import train
from ikem.training.precision import autocast

logger = logging.getLogger("ikem")


def evaluate(task: EncoderTask) -> Iterator[Outcome]:
    """Yield each modality, then the fusion, for each label subset."""
    modalities = task.job.settings["modalities"]
    for number, rows in task.label_subsets.items():
        logits: list[NDArray[np.float32]] = []
        for modality in modalities:
            logits.append(_finetune(task, number, rows, modality))
            yield Outcome([modality], logits[-1], train_clips=len(rows), label_subset=number)
        if len(logits) > 1:
            fused = np.stack(logits).mean(axis=0, dtype=np.float64)
            yield Outcome(modalities, fused, train_clips=len(rows), label_subset=number)


def _finetune(task: EncoderTask, number: int | None, rows: NDArray[np.int64], modality: str) -> NDArray[np.float32]:
    """Test logits (n_test, K) of one modality; they are kept in a checkpoint of their own until the job ends."""
    job, settings = task.job, task.job.settings
    part = modality if number is None else f"{number}.{modality}"
    finished = job.checkpoint(f"{part}.logits")
    stamp = digest_of([job.checkpoint_digest, part])
    if finished.exists():
        try:
            tensors, about = load_tensors(finished)
            if about == stamp:
                logger.info("%s is fine-tuned already", part)
                return np.asarray(tensors["logits"].numpy())
        except InputError as error:
            logger.warning("fine-tuning %s from scratch: %s", part, error)
    clips = Clips(task.position, rows, task.device)
    training = settings | {"schedule": task.options["schedule"], "augmentations": task.options["augmentations"]}
    trainer = ClassifierTrainer(
        training,
        modality,
        task.labels.classes,
        clips,
        task.device,
        layer_decay=task.options["layer_decay"],
        label_smoothing=task.options["label_smoothing"],
    )
    pretrained = load_encoder(
        task.states[modality],
        modality,
        encoder_options(settings["encoder"]),
        settings["skeleton"],
        settings["encoder_prefix"],
    )
    trainer.model.encoder.load_state_dict(pretrained.state_dict())
    schedule = task.options["schedule"]
    train(job, trainer, clips, schedule, 0, schedule["epochs"], False, task.checkpoint_minutes, part=part)
    scores = _logits(trainer, Clips(task.position, task.labels.test, task.device), modality)
    save_tensors(finished, {"logits": scores}, stamp)
    job.leave_if_asked()
    return np.asarray(scores.numpy())


@torch.inference_mode()
def _logits(trainer: ClassifierTrainer, clips: Clips, modality: str) -> Tensor:
    trainer.model.eval()
    batches = np.array_split(np.arange(clips.count), max(1, -(-clips.count // 256)))
    parts = []
    for batch in clips.batches(batches):
        inputs = generate(modality, batch.position, batch.frames, trainer.skeleton)
        with autocast(trainer.device, trainer.settings["precision"]):
            parts.append(trainer.model(inputs).float())
    return torch.cat(parts).cpu()
