"""Sections on training: schedule, contrast, recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ikem.augmentations.registry import PUBLISHED, AugmentationEntry
from ikem.encoders.registry import EncoderEntry
from ikem.encoders.stgcn.encoder import STGCN
from ikem.schema import Count, Settings, default_kind

Share = Annotated[float, Field(ge=0, lt=1)]


class SGD(Settings):
    """Stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum."""
    nesterov: bool = False
    """Nesterov's momentum."""


class Adam(Settings):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); its weight decay is an L2 penalty."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Share, Share] = Field((0.9, 0.999), strict=False)
    """Decay rates of the means of the gradient and of its square."""


class AdamW(Settings):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Share, Share] = Field((0.9, 0.999), strict=False)
    """Decay rates of the means of the gradient and of its square."""


Optimizer = Annotated[Annotated[SGD | Adam | AdamW, Field(discriminator="kind")], default_kind("sgd")]


class StepDecay(Settings):
    """The learning rate drops once."""

    kind: Literal["step"] = "step"
    epoch: int | None = Field(None, ge=1, le=Count)
    """Epochs with the full learning rate; null: all."""
    factor: float = Field(0.1, gt=0, le=1)
    """Factor of the learning rate afterwards."""


class CosineDecay(Settings):
    """Linear warm-up, then half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    warmup_epochs: int = Field(0, ge=0, le=Count)
    """Epochs of linear warm-up."""
    warmup_from_zero: bool = False
    """Whether the rate of the first epoch is zero, as published with PSTL; else its first step is above zero."""
    final: float = Field(0.0, ge=0, le=1)
    """Share of the learning rate that the cosine ends at."""


Decay = Annotated[Annotated[StepDecay | CosineDecay, Field(discriminator="kind")], default_kind("step")]


class Schedule(Settings):
    """How long is trained, in which batches, and by which optimizer."""

    epochs: int = Field(ge=1, le=Count)
    """Passes over the training clips."""
    batch_size: int = Field(128, ge=2, le=65_536)
    """Clips of a step."""
    learning_rate: float = Field(gt=0, le=1000)
    """Learning rate of the first epochs."""
    weight_decay: float = Field(1e-4, ge=0, le=100)
    """Weight decay: an L2 penalty with SGD and Adam, decoupled with AdamW."""
    optimizer: Optimizer = SGD()
    """What moves the parameters."""
    decay: Decay = StepDecay()
    """How the learning rate falls."""

    @model_validator(mode="after")
    def _decays_before_the_end(self) -> Self:
        begins = self.decay.epoch if isinstance(self.decay, StepDecay) else self.decay.warmup_epochs
        if begins is not None and begins >= self.epochs:
            key = "decay.epoch" if isinstance(self.decay, StepDecay) else "decay.warmup_epochs"
            raise ValueError(f"{key}: {begins} must be less than epochs ({self.epochs})")
        return self

    def job_settings(self, last_epoch: int | None = None) -> dict[str, Any]:
        """What epochs before `last_epoch` (by default all) see of the schedule, as settings of a job.

        A step after `last_epoch` is left out: changing it does not change the digest of the job.
        """
        settings = self.model_dump(mode="json", exclude={"epochs"})
        decay, last = settings["decay"], self.epochs if last_epoch is None else last_epoch
        if decay["kind"] == "cosine":
            decay["epochs"] = self.epochs
        elif decay["epoch"] is not None and decay["epoch"] >= last:
            decay["epoch"] = None
        return settings


class PretrainingSchedule(Schedule):
    """The published schedule of pretraining, both stages together."""

    epochs: int = Field(300, ge=1, le=Count)
    """Passes over the training clips."""
    learning_rate: float = Field(0.1, gt=0, le=1000)
    """Learning rate of the first epochs."""
    decay: Decay = StepDecay(epoch=250)
    """How the learning rate falls."""


class DistillationSchedule(PretrainingSchedule):
    """The published schedule of distillation."""

    epochs: int = Field(150, ge=1, le=Count)
    """Passes over the training clips."""
    decay: Decay = StepDecay(epoch=125)
    """How the learning rate falls."""


class LabelSchedule(PretrainingSchedule):
    """The schedule of training encoder and classifier with labels."""

    epochs: int = Field(100, ge=1, le=Count)
    """Passes over the training clips."""
    decay: Decay = StepDecay(epoch=80)
    """How the learning rate falls."""


class LinearSchedule(LabelSchedule):
    """The published schedule of linear evaluation."""

    learning_rate: float = Field(3.0, gt=0, le=1000)
    """Learning rate of the first epochs."""
    weight_decay: float = Field(0.0, ge=0, le=100)
    """Weight decay."""


class Relation(Settings):
    """Contrast with a queue."""

    queue_size: int = Field(32768, ge=1, le=Count)
    """Features kept as negatives."""
    temperature: float = Field(0.07, ge=0.025, le=10)
    """Temperature of the softmax."""


class Contrast(Relation):
    """Momentum contrast."""

    key_momentum: float = Field(0.999, ge=0, le=1)
    """Share of the key encoder that stays in a step."""
    mask_own_keys: bool = False
    """Leave older keys of a clip out of the negatives, and mined positives, of the clip itself. As published, they are
    among them, which matters where the queue is not much shorter than the training split."""


class Recipe(Settings):
    """How stage 1 is trained. Methods that name the same recipe share its stage-1 states."""

    encoder: EncoderEntry = STGCN()
    """The encoder and its projection head."""
    contrast: Contrast = Contrast()
    """Momentum contrast: queue, temperature, momentum of the key encoder."""
    schedule: PretrainingSchedule = PretrainingSchedule()
    """Schedule of pretraining, both stages together."""
    stage1_epochs: int = Field(150, ge=1, le=Count)
    """Stage 1 ends after this epoch; SkeletonCLR runs on, the exchanging methods begin."""
    drop_last: bool = True
    """Leave out the last, smaller batch of an epoch."""
    augmentations: tuple[AugmentationEntry, ...] = Field(PUBLISHED, max_length=100, strict=False)
    """What turns a clip into its views, in this order; all training of the recipe's methods has the same."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the encoders. tf32: factors of 10 bits in convolutions and products of a GPU, losses included; a
    CPU refuses it. bfloat16: under autocast, losses in float32."""
    standardize: bool = False
    """Give each dimension of the embeddings mean 0 and deviation 1 over the training clips, before they are evaluated;
    published with MAMP, not with the others. A method's own `standardize` goes before it."""

    @model_validator(mode="after")
    def _stages(self) -> Recipe:
        if self.stage1_epochs >= self.schedule.epochs:
            raise ValueError(f"stage1_epochs: it must be less than schedule.epochs ({self.schedule.epochs})")
        return self
