"""Fine-tuning and semi-supervised evaluation: encoder and classifier trained on all labels, or on a draw of them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.data.splits import read_draw
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.evaluations.embed import load_encoder
from ikem.evaluations.rows import Labelled, Rows, read_labelled
from ikem.files import digest_of
from ikem.modalities import generate
from ikem.settings import Encoder
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.training.classify import ClassifierTrainer
from ikem.training.loader import Clips
from ikem.training.loop import train
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job

logger = logging.getLogger("ikem")


def evaluate_tuned(
    job: Job,
    position: Path,
    split: Path,
    states: dict[str, Path],
    draw: Path | None,
    device: str = "auto",
    checkpoint_minutes: float = 5.0,
) -> list[Path]:
    """Run a `tuned` job: each modality is tuned on its own, the fusion is the mean of their logits.

    Args:
        states: for each modality the state that holds its encoder.
        draw: clip names to train on; None: all training clips.

    Returns:
        the files written beside the output.
    """
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    labelled = read_labelled(position, split)
    chosen_rows = labelled.train
    if draw is not None:
        names = load_samples(position.with_name("samples.csv"))["name"].to_numpy()
        chosen_rows = np.flatnonzero(np.isin(names, read_draw(draw)))
        if not len(chosen_rows):
            raise InputError("names no clip of this data set", location=str(draw), hint="Delete it and run again")
    rows = Rows(settings["row"], labelled)
    logits: list[NDArray[np.float32]] = []
    with one_device(device, job) as chosen:
        for modality in settings["modalities"]:
            scores = _tune(job, modality, position, chosen_rows, labelled, states[modality], chosen, checkpoint_minutes)
            logits.append(scores)
            top1 = rows.add(settings["row"]["evaluation"], [modality], scores, len(chosen_rows))
            logger.info("%s: %s %.2f %%", settings["row"]["evaluation"], modality, top1)
    if len(logits) > 1:
        fused = np.stack(logits).mean(axis=0, dtype=np.float64)
        top1 = rows.add(settings["row"]["evaluation"], settings["modalities"], fused, len(chosen_rows))
        logger.info("%s: fusion %.2f %%", settings["row"]["evaluation"], top1)
    return rows.write(job.output)


def _tune(
    job: Job,
    modality: str,
    position: Path,
    train_rows: NDArray[np.int64],
    labelled: Labelled,
    state: Path,
    device: torch.device,
    checkpoint_minutes: float,
) -> NDArray[np.float32]:
    """Test logits (n_test, K) of one modality; a finished modality is kept in a checkpoint of its own."""
    finished = job.checkpoint(f"{modality}.logits")
    stamp = digest_of([job.checkpoint_digest, modality])
    if finished.exists():
        try:
            tensors, about = load_tensors(finished)
            if about == stamp:
                logger.info("%s is tuned already", modality)
                return np.asarray(tensors["logits"].numpy())
        except InputError as error:
            logger.warning("tuning %s afresh: %s", modality, error)
    settings = job.settings
    clips = Clips(position, train_rows, device)
    trainer = ClassifierTrainer(settings, modality, labelled.classes, clips, device)
    pretrained = load_encoder(state, modality, Encoder(**settings["encoder"]), settings["skeleton"])
    trainer.model.encoder.load_state_dict(pretrained.state_dict())
    schedule = settings["schedule"]
    train(job, trainer, clips, schedule, 0, schedule["epochs"], False, checkpoint_minutes, part=modality)
    scores = _logits(trainer, Clips(position, labelled.test, device), modality)
    save_tensors(finished, {"logits": scores}, stamp)
    job.leave_if_asked()
    return np.asarray(scores.numpy())


@torch.inference_mode()
def _logits(trainer: ClassifierTrainer, clips: Clips, modality: str) -> Tensor:
    trainer.model.eval()
    cut = np.array_split(np.arange(clips.count), max(1, -(-clips.count // 256)))
    parts = []
    for batch in clips.batches(cut):
        inputs = generate(modality, batch.position, batch.frames, trainer.skeleton)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=trainer.settings["precision"] == "bfloat16"):
            parts.append(trainer.model(inputs).float().cpu())
    return torch.cat(parts)
