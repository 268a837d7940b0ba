"""The loop that all training shares: epochs, learning rate, checkpoints, a line an epoch, and a look at the loss."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from ikem.errors import InputError
from ikem.files import atomic
from ikem.running_job import RunningJob
from ikem.seeding import batches, epoch_order
from ikem.terminal import TrainingBar
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import learning_rate, set_learning_rate
from ikem.training.process_group import first_says, is_first, merge

logger = logging.getLogger("ikem")


class Trainer(Protocol):
    """What the loop trains."""

    @property
    def model(self) -> nn.Module:
        """What has the parameters and buffers."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves them."""

    def begin_epoch(self, epoch: int) -> None:
        """Draw what the epoch needs."""

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step of the optimizer; returns the losses, detached, by name."""


def training_tensors(trainer: Trainer) -> dict[str, Tensor]:
    """All that a run resumes from: parameters, buffers (queues and their pointer), the whole state of the optimizer."""
    tensors = dict(trainer.model.state_dict())
    for name, parameter in trainer.model.named_parameters():
        for key, value in trainer.optimizer.state.get(parameter, {}).items():
            if value is not None:  # SGD without momentum
                tensors[f"optimizer.{key}.{name}"] = value
    return tensors


def load_training_tensors(trainer: Trainer, tensors: Mapping[str, Tensor], new: tuple[str, ...] = ()) -> None:
    """Put back what `training_tensors` gave; names that begin with one of `new` may be absent.

    Raises:
        InputError: the tensors are not those of this model.
    """
    model = {name: value for name, value in tensors.items() if not name.startswith("optimizer.")}
    try:
        result = trainer.model.load_state_dict(model, strict=False)
    except RuntimeError as error:
        raise InputError(f"the state is not of this model ({' '.join(str(error).split())})") from error
    lacking = [name for name in result.missing_keys if not name.startswith(new)] if new else result.missing_keys
    if lacking or result.unexpected_keys:
        raise InputError(
            f"the state is not of this model: lacks {lacking[:3]}, has {result.unexpected_keys[:3]} too many"
        )
    states: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, key, parameter_name = name.split(".", 2)
            states.setdefault(parameter_name, {})[key] = value
    for name, parameter in trainer.model.named_parameters():
        for key, value in states.get(name, {}).items():
            # PyTorch keeps a count of steps on the CPU.
            device = value.device if key == "step" else parameter.device
            trainer.optimizer.state[parameter][key] = value.to(device).clone()


def train(
    job: RunningJob,
    trainer: Trainer,
    clips: Clips,
    schedule: Mapping[str, Any],
    first_epoch: int,
    last_epoch: int,
    drop_last: bool,
    checkpoint_minutes: float,
    part: str = "",
) -> list[dict[str, float]]:
    """Train from `first_epoch` to `last_epoch` (exclusive), from the job's checkpoint on if there is one that fits.

    Args:
        checkpoint_minutes: between checkpoints; 0: one after each step.
        part: names the checkpoint where a job trains several models.

    Returns:
        a row an epoch: epoch (from 1), learning_rate, and the mean of each loss.

    Raises:
        InputError: the loss is no longer a finite number.
        Interrupted: a signal asked to leave; the checkpoint is written.
    """
    seed = int(job.settings["seed"])
    checkpoint = job.checkpoint(part)
    progress = _resume(job, checkpoint, trainer) or {"epoch": first_epoch, "step": 0, "sums": {}, "history": []}
    saved = time.monotonic()
    title = f"{job.title} {part.replace('.', ' ')}".rstrip()
    with job.saving(), contextlib.closing(TrainingBar(title)) as bar:
        for epoch in range(progress["epoch"], last_epoch):
            began = time.monotonic()
            rate = learning_rate(schedule, epoch)
            set_learning_rate(trainer.optimizer, rate)
            cut = batches(epoch_order(seed, epoch, clips.count), int(schedule["batch_size"]), drop_last)
            trainer.begin_epoch(epoch)
            first = progress["step"]
            logger.info("epoch %d/%d: %d steps", epoch + 1, last_epoch, len(cut) - first)
            sums: dict[str, Tensor] = {
                name: torch.tensor(value, dtype=torch.float64, device=next(trainer.model.parameters()).device)
                for name, value in progress["sums"].items()
            }
            for step, batch in enumerate(clips.batches(cut[first:]), start=first):
                for name, loss in trainer.step(batch, epoch, step).items():
                    sums[name] = sums[name] + loss.double() if name in sums else loss.double()
                bar.step(epoch + 1, last_epoch, step + 1, len(cut), len(cut[step]))
                due = first_says(job.asked_to_leave or time.monotonic() - saved >= 60 * checkpoint_minutes)
                if due and step + 1 < len(cut):
                    progress |= {"epoch": epoch, "step": step + 1, "sums": _read(sums)}
                    _save(job, checkpoint, trainer, progress)
                    saved = time.monotonic()
                    job.leave_if_asked()
            means = {name: value / len(cut) for name, value in _read(sums).items()}
            _require_finite(means, training_tensors(trainer), epoch)
            progress["history"].append({"epoch": epoch + 1, "learning_rate": rate, **means})
            progress |= {"epoch": epoch + 1, "step": 0, "sums": {}}
            _report(epoch, last_epoch, means, rate, time.monotonic() - began, len(cut) / max(1, len(cut) - first))
            due = first_says(job.asked_to_leave or time.monotonic() - saved >= 60 * checkpoint_minutes)
            if due and epoch + 1 < last_epoch:
                _save(job, checkpoint, trainer, progress)
                saved = time.monotonic()
                job.leave_if_asked()
    history: list[dict[str, float]] = progress["history"]
    return history


def finish(job: RunningJob, trainer: Trainer, history: list[dict[str, float]]) -> None:
    """Write what a training job ends with: the state, and next to it metrics.csv, a row an epoch."""
    tensors = merge(training_tensors(trainer))
    if not is_first():
        return
    for unfinished in job.output.parent.glob(".metrics.csv.*.tmp"):  # of a killed run
        unfinished.unlink(missing_ok=True)
    with atomic(job.output.with_name("metrics.csv")) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")
    save_tensors(job.output, tensors, {"epochs": len(history), "digest": job.digest})


def _save(job: RunningJob, checkpoint: Path, trainer: Trainer, progress: dict[str, Any]) -> None:
    tensors = merge(training_tensors(trainer))
    _require_finite(progress["sums"], tensors, progress["epoch"])
    if not is_first():
        return
    # As lists: JSON here is sorted by key, and the columns of metrics.csv must keep their order.
    ordered = progress | {
        "sums": list(progress["sums"].items()),
        "history": [list(row.items()) for row in progress["history"]],
    }
    about = {"digest": job.checkpoint_digest, "progress": ordered, "seconds": job.seconds}
    save_tensors(checkpoint, tensors, about)
    logger.info("checkpoint written (epoch %d, step %d)", progress["epoch"] + 1, progress["step"])


def _resume(job: RunningJob, checkpoint: Path, trainer: Trainer) -> dict[str, Any] | None:
    """The progress of the job's checkpoint, loaded into the trainer; None, and a line why, if there is none to use."""
    if not checkpoint.exists():
        return None
    try:
        tensors, about = load_tensors(checkpoint)
    except InputError as error:
        logger.warning("starting from scratch: %s", error)
        return None
    if not isinstance(about, dict) or about.get("digest") != job.checkpoint_digest:
        logger.warning("starting from scratch: the checkpoint was made with other settings, data or code")
        return None
    load_training_tensors(trainer, tensors)
    progress: dict[str, Any] = about["progress"]
    progress |= {"sums": dict(progress["sums"]), "history": [dict(row) for row in progress["history"]]}
    logger.info("resuming from epoch %d, step %d", progress["epoch"] + 1, progress["step"])
    return progress


def _read(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Values of the device, read at once."""
    return dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True)) if sums else {}


def _require_finite(losses: Mapping[str, float], tensors: Mapping[str, Tensor], epoch: int) -> None:
    """Raise InputError if a loss, or a tensor to be saved, is no finite number any more."""
    hint = "Lower the learning rate, or look at the data; the last checkpoint has not been touched"
    for name, value in losses.items():
        if not math.isfinite(value):
            raise InputError(f"the loss of {name} is {value} in epoch {epoch + 1}", hint=hint)
    if not _finite(tensors.values()):
        name = next(name for name, tensor in tensors.items() if not _finite([tensor]))
        raise InputError(f"{name} has numbers that are not finite in epoch {epoch + 1}", hint=hint)


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers are finite: the largest of each tensor, then one value that is read from the device."""
    values = [tensor for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    by_device = [[value for value in values if value.device == device] for device in {value.device for value in values}]
    return all(bool(torch.stack(torch._foreach_norm(group, math.inf)).isfinite().all()) for group in by_device)


def _report(epoch: int, last: int, losses: Mapping[str, float], rate: float, seconds: float, share: float) -> None:
    """A line on an epoch; `share` is the whole epoch's part of what was seen of it after a checkpoint."""
    left = int(seconds * share * (last - epoch - 1))
    shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
    logger.info(
        "epoch %d/%d: %s; rate %g, %.1f s, %d:%02d:%02d left",
        *(epoch + 1, last, shown, rate, seconds, left // 3600, left // 60 % 60, left % 60),
    )
