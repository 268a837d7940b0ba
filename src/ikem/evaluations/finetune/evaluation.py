"""Fine-tuning on all training labels, or on label subsets (semi-supervised evaluation)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ikem.augmentations.registry import PUBLISHED, AugmentationEntry
from ikem.evaluations.declaration import Evaluation
from ikem.schema import Count
from ikem.settings.evaluations import EvaluationOptions
from ikem.settings.training import LabelSchedule


class Finetune(EvaluationOptions):
    """Encoder and classifier trained with labels; the fusion is the mean of the modalities' logits."""

    kind: Literal["finetune"]
    fraction: float = Field(1.0, ge=0.0001, le=1)
    """Share of the training labels; below 1 the evaluation is semi-supervised, and is repeated on label subsets."""
    label_subsets: tuple[Annotated[int, Field(ge=0, le=Count)], ...] = Field(
        (0,), min_length=1, max_length=1000, strict=False
    )
    """Numbers of the label subsets; each is a file of clip names. Without a meaning where `fraction` is 1."""
    sampling: Literal["per-class", "uniform"] = "per-class"
    """round(fraction x clips) of each class, at least one; or the whole number drawn uniformly."""
    schedule: LabelSchedule = LabelSchedule()
    """Schedule of training encoder and classifier with labels."""
    augmentations: tuple[AugmentationEntry, ...] = Field(PUBLISHED, max_length=100, strict=False)
    """What changes the training clips, in this order; an empty list: nothing."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor of the learning rate from a block of the encoder to the one before it; 1: all learn at the same rate."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each label that all classes share."""

    @property
    def title(self) -> str:
        """See the base class."""
        rates = "" if self.layer_decay == 1 else f", layer decay {self.layer_decay:g}"
        if self.fraction == 1:
            return f"Fine-tuning, all labels{rates}"
        how = "drawn in each class" if self.sampling == "per-class" else "drawn uniformly"
        return f"Semi-supervised, {100 * self.fraction:g} % of the labels, {how}{rates}"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return "finetune" if self.fraction == 1 else f"semi-{100 * self.fraction:g}%"

    @property
    def label_fraction(self) -> float | None:
        """See the base class."""
        return self.fraction

    @property
    def subset_numbers(self) -> tuple[int, ...]:
        """See the base class."""
        return self.label_subsets if self.fraction < 1 else ()


EVALUATION = Evaluation(
    options=Finetune,
    summary="Fine-tune the encoders of a method on all labels, or on each of its label subsets, and test.",
    runs_on="encoder",
    run="ikem.evaluations.finetune.run:evaluate",
)
