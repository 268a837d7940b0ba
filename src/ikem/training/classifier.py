"""Training encoder and classifier with labels: the supervised ceiling, and fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ikem.augmentations.registry import parse_augmentations
from ikem.augmentations.views import Views
from ikem.encoders.dropout import Seed
from ikem.encoders.initialization import initialize
from ikem.encoders.registry import build_encoder, encoder_options
from ikem.modalities import generate
from ikem.seeding import StepSeeds, seed_for
from ikem.skeleton import load_skeleton
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer, layer_groups
from ikem.training.precision import autocast


class Classifier(nn.Module):
    """An encoder with a linear classifier on its embedding."""

    def __init__(self, encoder: nn.Module, hidden_dim: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(hidden_dim, classes)

    def forward(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """(B, M, C, T, V) to logits (B, classes)."""
        logits: Tensor = self.classifier(self.encoder(x, dropout_seed).float())
        return logits


class ClassifierTrainer:
    """Cross-entropy on the labels of the clips."""

    replayable = True

    def __init__(
        self,
        settings: Mapping[str, Any],
        modality: str,
        classes: int,
        clips: Clips,
        device: torch.device,
        layer_decay: float = 1.0,
        label_smoothing: float = 0.0,
    ) -> None:
        """Set up from the settings of a job, with initial parameters.

        Args:
            layer_decay: factor of the learning rate from layer to layer, see `layer_groups`; 1: all have the same.
            label_smoothing: share of each label that all classes share (Szegedy et al. 2016, arXiv 1512.00567).
        """
        self.settings, self.clips, self.device, self.modality = settings, clips, device, modality
        self.skeleton = load_skeleton(settings["skeleton"])
        encoder = encoder_options(settings["encoder"])
        self.model = Classifier(build_encoder(encoder, self.skeleton), encoder.hidden_dim, classes)
        initialize(self.model, seed_for(settings["seed"], "classifier", modality), encoder.initialization)
        self.model.to(device)
        self.labels = torch.from_numpy(clips.labels).to(device)
        same = layer_decay == 1
        parameters = self.model.parameters() if same else layer_groups(self.model, "encoder.blocks", layer_decay)
        self.optimizer, self.label_smoothing = build_optimizer(parameters, settings["schedule"]), label_smoothing
        self.augmentations = parse_augmentations(settings["augmentations"])
        self.views: Views | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the view of every clip."""
        self.views = Views(self.augmentations, self.skeleton, self.settings["seed"], epoch, self.clips.count, views=1)

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """One step; returns the cross-entropy."""
        return self.compute(batch, epoch, self.dropout_seed(epoch, step))

    def dropout_seed(self, epoch: int, step: int) -> int:
        """What fixes all dropout masks of a step."""
        seed: int = seed_for(self.settings["seed"], "dropout", self.modality, epoch, step)
        return seed

    def compute(self, batch: Batch, epoch: int, dropout_seed: int | StepSeeds) -> dict[str, Tensor]:
        """A step; see `ikem.training.graph.GraphTrainer`."""
        assert self.views is not None
        position = self.views(batch.position, batch.rows, 0)
        inputs = generate(self.modality, position, batch.frames, self.skeleton)
        self.optimizer.zero_grad(set_to_none=True)
        self.model.train()
        with autocast(self.device, self.settings["precision"]):
            logits = self.model(inputs, dropout_seed if isinstance(dropout_seed, int) else dropout_seed.derived())
        labels = self.labels.index_select(0, batch.rows)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {self.modality: loss.detach()}
