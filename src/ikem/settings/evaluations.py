"""Evaluations: a class for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ikem.schema import Settings
from ikem.settings.training import LabelSchedule, LinearSchedule


class Linear(Settings):
    """A linear classifier on frozen embeddings, each modality alone and all on their mean logits."""

    kind: Literal["linear"]
    schedule: LinearSchedule = LinearSchedule()


class Knn(Settings):
    """Nearest neighbours by cosine similarity of frozen embeddings."""

    kind: Literal["knn"]
    k: int = Field(1, ge=1)
    """Neighbours that vote; ties go to the class of the nearest of them."""


class _Tuned(Settings):
    schedule: LabelSchedule = LabelSchedule()
    augment: bool = True
    """Crop and shear the training clips."""


class Finetune(_Tuned):
    """Encoder and classifier trained on all training labels; fusion is the mean of the modalities' logits."""

    kind: Literal["finetune"]


class Semi(_Tuned):
    """Encoder and classifier trained on a part of the training labels."""

    kind: Literal["semi"]
    fraction: float = Field(ge=0.0001, lt=1)
    """Share of the training labels."""
    draws: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1, strict=False)
    """Numbers of the draws; each is a file of clip names."""
    sampling: Literal["per-class", "uniform"] = "per-class"
    """round(fraction x clips) of each class, at least one; or the whole number drawn uniformly."""


Evaluation = Annotated[Linear | Knn | Finetune | Semi, Field(discriminator="kind")]
