"""Training encoder and classifier with labels: the supervised ceiling, fine-tuning, semi-supervised evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ikem.encoders.initialization import initialise
from ikem.encoders.stgcn import STGCN
from ikem.modalities import generate
from ikem.settings import Encoder
from ikem.skeleton import Skeleton, load_skeleton
from ikem.training.checkpoint import save_tensors
from ikem.training.loader import Batch, Clips, Views, training_clips
from ikem.training.loop import finish, train
from ikem.training.seeding import seed_for
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job


def build_encoder(encoder: Encoder, skeleton: Skeleton) -> STGCN:
    """The ST-GCN of the settings, its parameters not yet drawn."""
    return STGCN(
        skeleton,
        hidden_channels=encoder.hidden_channels,
        hidden_dim=encoder.hidden_dim,
        dropout=encoder.dropout,
        graph_distances=encoder.graph_distances,
    )


class Classifier(nn.Module):
    """An encoder with a linear classifier on its embedding."""

    def __init__(self, encoder: STGCN, hidden_dim: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(hidden_dim, classes)

    def forward(self, x: Tensor, dropout_seed: int | None = None) -> Tensor:
        """(B, M, C, T, V) to logits (B, classes)."""
        logits: Tensor = self.classifier(self.encoder(x, dropout_seed).float())
        return logits


class ClassifierTrainer:
    """Cross-entropy on the labels of the clips."""

    def __init__(
        self, settings: Mapping[str, Any], modality: str, classes: int, clips: Clips, device: torch.device
    ) -> None:
        """Set up from the settings of a `supervised` or `tuned` job, with freshly drawn parameters."""
        self.settings, self.clips, self.device, self.modality = settings, clips, device, modality
        self.skeleton = load_skeleton(settings["skeleton"])
        encoder, schedule = Encoder(**settings["encoder"]), settings["schedule"]
        self.model = Classifier(build_encoder(encoder, self.skeleton), encoder.hidden_dim, classes)
        initialise(
            self.model, seed_for(settings["seed"], "classifier", modality), settings["encoder"]["initialisation"]
        )
        self.model.to(device)
        self.labels = torch.from_numpy(clips.labels).to(device)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=schedule["learning_rate"],
            momentum=schedule["momentum"],
            weight_decay=schedule["weight_decay"],
        )
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the view of every clip."""
        if self.settings["augment"]:
            self.views = Views(self.settings["seed"], epoch, self.clips.count, self.clips.frames, views=1)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the cross-entropy."""
        position = self.views(batch, 0) if self.views else batch.position
        inputs = generate(self.modality, position, batch.frames, self.skeleton)
        self.optimiser.zero_grad(set_to_none=True)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings["precision"] == "bfloat16"):
            logits = self.model(inputs, seed_for(self.settings["seed"], "dropout", self.modality, epoch, step))
        loss = functional.cross_entropy(logits.float(), self.labels.index_select(0, batch.rows))
        torch.autograd.backward(loss)
        self.optimiser.step()
        return {self.modality: loss.detach()}


def supervise(job: Job, position: Path, split: Path, device: str = "auto", checkpoint_minutes: float = 5.0) -> None:
    """Run a `supervised` job; the state holds the encoder under the name that pretraining gives it.

    Raises:
        InputError: an input is damaged or does not fit, or the loss is not finite.
        Interrupted: a signal asked to leave; the checkpoint is written.
    """
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    with one_device(device, job) as chosen:
        clips = training_clips(position, split, chosen)
        trainer = ClassifierTrainer(settings, settings["modality"], clips.classes, clips, chosen)
        history = train(
            job,
            trainer,
            clips,
            settings["schedule"],
            0,
            settings["schedule"]["epochs"],
            drop_last=settings["drop_last"],
            checkpoint_minutes=checkpoint_minutes,
        )
        finish(job, trainer, history)


def draw_untrained(job: Job) -> None:
    """Run a `random` job: a state with an untrained encoder for each modality."""
    settings = job.settings
    encoder, skeleton = Encoder(**settings["encoder"]), load_skeleton(settings["skeleton"])
    tensors: dict[str, Tensor] = {}
    for modality in settings["modalities"]:
        drawn = build_encoder(encoder, skeleton)
        initialise(drawn, seed_for(settings["seed"], "untrained", modality), settings["initialisation"])
        tensors |= {f"query.{modality}.encoder.{name}": value for name, value in drawn.state_dict().items()}
    save_tensors(job.output, tensors, {"digest": job.digest})
