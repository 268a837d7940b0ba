"""Evaluations: a class for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ikem.settings.base import Settings
from ikem.settings.training import Schedule


class Linear(Settings):
    """A linear classifier on frozen embeddings, each modality alone and all on their mean logits."""

    kind: Literal["linear"]
    schedule: Schedule = Schedule(epochs=100, decay_after=80, learning_rate=3.0, weight_decay=0.0)


class Knn(Settings):
    """Nearest neighbours by cosine similarity of frozen embeddings."""

    kind: Literal["knn"]
    k: int = Field(1, ge=1)
    """Neighbours that vote; ties go to the class of the nearest of them."""


class _Tuned(Settings):
    schedule: Schedule = Schedule(epochs=100, decay_after=80, learning_rate=0.1)
    augment: bool = True
    """Crop and shear the training clips."""


class Finetune(_Tuned):
    """Encoder and classifier trained on all training labels; fusion is the mean of the modalities' logits."""

    kind: Literal["finetune"]


class Semi(_Tuned):
    """Encoder and classifier trained on a part of the training labels."""

    kind: Literal["semi"]
    fraction: float = Field(gt=0, lt=1)
    """Share of the training labels."""
    draws: tuple[int, ...] = Field((0,), min_length=1, strict=False)
    """Numbers of the draws; each is a file of clip names."""
    sampling: Literal["per-class", "uniform"] = "per-class"
    """round(fraction x clips) of each class, at least one; or the whole number drawn uniformly."""


Evaluation = Annotated[Linear | Knn | Finetune | Semi, Field(discriminator="kind")]
