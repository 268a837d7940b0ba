"""Sections on training: schedule, encoder, contrast, recipe."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ikem.schema import Settings


class Schedule(Settings):
    """Stochastic gradient descent and how long it runs."""

    epochs: int = Field(ge=1)
    """Passes over the training clips."""
    decay_after: int | None = Field(None, ge=1)
    """The learning rate is a tenth from the epoch after this one; null: never."""
    batch_size: int = Field(128, ge=2)
    """Clips of a step."""
    learning_rate: float = Field(gt=0)
    """Learning rate of the first epochs."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum (not Nesterov's)."""
    weight_decay: float = Field(1e-4, ge=0)
    """L2 penalty."""

    @model_validator(mode="after")
    def _decays_before_the_end(self) -> Self:
        if self.decay_after is not None and self.decay_after >= self.epochs:
            raise ValueError(f"decay_after ({self.decay_after}) must be less than epochs ({self.epochs}), or null")
        return self


class PretrainingSchedule(Schedule):
    """The published schedule of pretraining, both stages together."""

    epochs: int = Field(300, ge=1)
    """Passes over the training clips."""
    decay_after: int | None = Field(250, ge=1)
    """The learning rate is a tenth from the epoch after this one; null: never."""
    learning_rate: float = Field(0.1, gt=0)
    """Learning rate of the first epochs."""


class DistillationSchedule(PretrainingSchedule):
    """The published schedule of distillation."""

    epochs: int = Field(150, ge=1)
    """Passes over the training clips."""
    decay_after: int | None = Field(125, ge=1)
    """The learning rate is a tenth from the epoch after this one; null: never."""


class LabelSchedule(PretrainingSchedule):
    """The schedule of training encoder and classifier with labels."""

    epochs: int = Field(100, ge=1)
    """Passes over the training clips."""
    decay_after: int | None = Field(80, ge=1)
    """The learning rate is a tenth from the epoch after this one; null: never."""


class LinearSchedule(LabelSchedule):
    """The published schedule of linear evaluation."""

    learning_rate: float = Field(3.0, gt=0)
    """Learning rate of the first epochs."""
    weight_decay: float = Field(0.0, ge=0)
    """L2 penalty."""


class Encoder(Settings):
    """The ST-GCN and its projection head."""

    hidden_channels: int = Field(16, ge=1)
    """Channels of the first blocks; later ones have two and four times as many."""
    hidden_dim: int = Field(256, ge=2)
    """Width of the embedding."""
    feature_dim: int = Field(128, ge=2)
    """Width of the contrasted feature."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of activations dropped in each block but the first."""
    initialisation: Literal["published", "pytorch"] = "published"
    """How parameters are drawn: with deviation 0.02 as published, or as PyTorch does, which short schedules need."""
    graph_distances: Literal["one-hop", "true"] = "one-hop"
    """Distances from the centre joint: known up to one hop as in the published code, or true ones."""


class Relation(Settings):
    """Contrast with a queue."""

    queue_size: int = Field(32768, ge=1)
    """Features kept as negatives."""
    temperature: float = Field(0.07, ge=0.025, le=10)
    """Temperature of the softmax."""


class Contrast(Relation):
    """Momentum contrast."""

    key_momentum: float = Field(0.999, ge=0, le=1)
    """Share of the key encoder that stays in a step."""


class Recipe(Settings):
    """How stage 1 is trained. Methods that name the same recipe share its stage-1 states."""

    encoder: Encoder = Encoder()
    """The encoder and its projection head."""
    contrast: Contrast = Contrast()
    """Momentum contrast: queue, temperature, momentum of the key encoder."""
    schedule: PretrainingSchedule = PretrainingSchedule()
    """Schedule of pretraining, both stages together."""
    exchange_after: int = Field(150, ge=1)
    """Stage 1 ends after this epoch; SkeletonCLR runs on, the exchanging methods begin."""
    drop_last: bool = True
    """Leave out the last, smaller batch of an epoch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the encoders."""

    @model_validator(mode="after")
    def _stages(self) -> Recipe:
        if self.exchange_after >= self.schedule.epochs:
            raise ValueError(f"exchange_after must be less than schedule.epochs ({self.schedule.epochs})")
        return self
