"""Pretraining: stage 1 of a modality, its continuation (SkeletonCLR), and stage 2 with exchange, by one trainer.

Stages differ in the loss and in where they start: the exchange and the continuation begin with the queries, keys,
BatchNorm buffers, queues, pointers and momentum that stage 1 ended with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ikem.errors import InputError
from ikem.modalities import generate_all
from ikem.settings import Contrast, Encoder
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import Batch, Clips, Views, training_clips
from ikem.training.loop import finish, load_training_tensors, train
from ikem.training.moco import MomentumContrast
from ikem.training.seeding import seed_for
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job


class ContrastTrainer:
    """Momentum contrast of some modalities, alone or with exchange."""

    def __init__(self, settings: Mapping[str, Any], clips: Clips, device: torch.device) -> None:
        """Set up from the settings of a `stage1`, `skeletonclr` or `exchange` job."""
        self.settings, self.clips, self.device = settings, clips, device
        self.skeleton = load_skeleton(settings["skeleton"])
        contrast, schedule = Contrast(**settings["contrast"]), settings["schedule"]
        self.model = MomentumContrast(
            settings["modalities"],
            self.skeleton,
            Encoder(**settings["encoder"]),
            queue_size=contrast.queue_size,
            key_momentum=contrast.key_momentum,
            temperature=contrast.temperature,
            top_k=settings.get("top_k", 1),
            seed=settings["seed"],
            initialisation=settings["encoder"]["initialisation"],
        ).to(device)
        self.optimiser = self.model.optimiser(schedule["learning_rate"], schedule["momentum"], schedule["weight_decay"])
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the two views of every clip."""
        self.views = Views(self.settings["seed"], epoch, self.clips.count, self.clips.frames, views=2)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the loss of each modality."""
        assert self.views is not None
        settings = self.settings
        names, views = settings["modalities"], self.views
        query, key = (generate_all(names, views(batch, view), batch.frames, self.skeleton) for view in (0, 1))
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings["precision"] == "bfloat16"):
            losses = self.model.losses(
                query,
                key,
                stage=settings["stage"],
                follow=settings.get("follow", settings["modalities"]),
                explicit=settings.get("explicit", False),
                implicit=settings.get("implicit", False),
                dropout_seed=seed_for(settings["seed"], "dropout", epoch, step),
            )
        torch.autograd.backward(list(losses.values()))
        self.optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}


def pretrain(
    job: Job, position: Path, split: Path, states: list[Path], device: str = "auto", checkpoint_minutes: float = 5.0
) -> None:
    """Run a `stage1`, `skeletonclr` or `exchange` job; `states` are those it starts from.

    Raises:
        InputError: an input is damaged or does not fit, or the loss is not finite.
        Interrupted: a signal asked to leave; the checkpoint is written.
    """
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    with one_device(device, job) as chosen:
        trainer = ContrastTrainer(settings, training_clips(position, split, chosen), chosen)
        if states:
            load_training_tensors(trainer, merge_states(states), new=("exchange_head",))
        history = train(
            job,
            trainer,
            trainer.clips,
            settings["schedule"],
            settings["first_epoch"],
            settings["last_epoch"],
            settings["drop_last"],
            checkpoint_minutes,
        )
        finish(job, trainer, history)


def merge_states(paths: list[Path]) -> dict[str, Tensor]:
    """The states of several modalities in one; their queues must stand at the same place.

    Raises:
        InputError: a state is damaged, or its queue holds other clips at the places of the others' queues.
    """
    merged: dict[str, Tensor] = {}
    for path in paths:
        state, _ = load_tensors(path)
        if "queue.pointer" in merged and merged["queue.pointer"] != state["queue.pointer"]:
            raise InputError(
                "its queue does not stand where those of the other modalities stand",
                location=str(path),
                hint="Delete the stage-1 states and run again",
            )
        merged |= state
    return merged
