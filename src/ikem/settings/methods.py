"""Methods: a class for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ikem.schema import ModalityName, Name, Settings
from ikem.settings.training import DistillationSchedule, LabelSchedule, Relation


class _Method(Settings):
    title: str | None = None
    """Name as tables show it; by default the entry's name."""
    published_as: str | None = None
    """Name under which the tables look for published results of this very method."""
    modalities: tuple[ModalityName, ...] = Field(min_length=1, strict=False)
    """Modalities with an encoder each; results are given for each and for their fusion."""
    recipe: Name = "published"
    """Recipe of the encoders and of stage 1."""

    @model_validator(mode="after")
    def _different(self) -> _Method:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities must differ from one another")
        return self


class SkeletonCLR(_Method):
    """Momentum contrast of each modality alone: stage 1 run on to the last epoch."""

    kind: Literal["skeletonclr"]


class _Exchange(_Method):
    top_k: int = Field(1, ge=1)
    """Positives mined for each clip by each other modality."""

    @model_validator(mode="after")
    def _several(self) -> _Exchange:
        if len(self.modalities) < 2:
            raise ValueError("modalities must be two or more: there is nothing to exchange")
        return self


class CrosSCLR(_Exchange):
    """Stage 2 with the explicit exchange (mined positives) alone."""

    kind: Literal["crossclr"]
    follow: tuple[ModalityName, ...] | None = Field(None, strict=False)
    """Modalities whose key encoder goes on following in stage 2; null: all."""


class IKEM(_Exchange):
    """Stage 2 with the implicit knowledge exchange module."""

    kind: Literal["ikem"]
    follow: tuple[ModalityName, ...] = Field(("motion", "acceleration", "angular_velocity"), strict=False)
    """Modalities whose key encoder goes on following in stage 2."""
    explicit: bool = True
    """Exchange of mined positives."""
    implicit: bool = True
    """Exchange by the second head and the joint queue of all modalities."""

    @model_validator(mode="after")
    def _some(self) -> IKEM:
        if not (self.explicit or self.implicit):
            raise ValueError("explicit or implicit must be true: without both nothing is exchanged")
        return self


class Student(_Method):
    """Relational distillation of a teacher's modalities into fewer encoders."""

    kind: Literal["student"]
    teacher: Name
    """Method whose encoders teach: an exchanging method or skeletonclr."""
    top_k: int = Field(1, ge=1)
    """Positives mined for each clip by each teacher modality."""
    contrast: Relation = Relation()
    schedule: DistillationSchedule = DistillationSchedule()
    mining_queue: Literal["corrected", "published"] = "corrected"
    """Queue that angular velocity mines in: its own, or the bone queue as in the published code."""
    teacher_mode: Literal["evaluation", "published"] = "evaluation"
    """BatchNorm and dropout of the frozen teacher: evaluation mode, or training mode as in the published code."""


class Random(_Method):
    """The untrained encoder: the floor."""

    kind: Literal["random"]
    initialisation: Literal["pytorch", "published"] = "pytorch"
    """How parameters are drawn."""
    standardise: bool = True
    """Give each dimension of the embedding mean 0 and deviation 1 over the training clips. An untrained encoder's
    embeddings hardly vary, so that without this a linear classifier at the usual learning rate stays at chance."""


class Supervised(_Method):
    """The encoder trained with all labels: the ceiling."""

    kind: Literal["supervised"]
    schedule: LabelSchedule = LabelSchedule()


Method = Annotated[SkeletonCLR | CrosSCLR | IKEM | Student | Random | Supervised, Field(discriminator="kind")]
