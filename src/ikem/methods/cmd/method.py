"""CMD: modalities teach one another how near a clip is to its neighbors in the queue."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.registry import Source
from ikem.settings.methods import MethodOptions


class CMD(MethodOptions):
    """Momentum contrast of each modality, and mutual distillation between all of them from the first epoch on."""

    kind: Literal["cmd"]
    neighbors: float = Field(0.5, gt=0, le=1)
    """Share of the teacher's queue whose similarities are distilled, the nearest to its key: 8192 of 16384."""
    teacher_temperature: float = Field(0.05, ge=0.01, le=10)
    """Temperature of the teacher's similarities."""
    student_temperature: float = Field(0.1, ge=0.01, le=10)
    """Temperature of the student's similarities."""
    distillation_weight: float = Field(1.0, ge=0, le=1000)
    """Weight of the distillation beside momentum contrast."""

    @model_validator(mode="after")
    def _several(self) -> CMD:
        if len(self.modalities) < 2:
            raise ValueError("modalities: two or more are needed; one alone has no other to learn from")
        return self


def _settings(context: StageContext) -> dict[str, Any]:
    options, recipe = context.options, context.recipe
    chosen = {"teacher_temperature", "student_temperature", "distillation_weight"}
    return {
        **epochs(recipe, 0, recipe.schedule.epochs),
        "neighbors": max(1, round(options.neighbors * recipe.contrast.queue_size)),
        **options.model_dump(include=chosen),
    }


METHOD = Method(
    title="CMD",
    summary="Modalities distill into one another, from the first epoch on, how near a clip is to its neighbors.",
    source=Source(
        authors="Mao, Zhou, Lu et al.",
        title="CMD: Self-supervised 3D Action Representation Learning with Cross-modal Mutual Distillation",
        venue="ECCV",
        year=2022,
        arxiv="2208.12448",
    ),
    options=CMD,
    stages=(
        Stage(
            name="cmd",
            summary="CMD: the modalities of a method learn from one another.",
            trainer="ikem.methods.cmd.trainer:CMDTrainer",
            settings=_settings,
            divisible=True,
        ),
    ),
    teaches=True,
)
