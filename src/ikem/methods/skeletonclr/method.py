"""SkeletonCLR: momentum contrast of each modality alone."""

from __future__ import annotations

from typing import Any, Literal

from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.registry import Source
from ikem.settings.methods import MethodOptions


class SkeletonCLR(MethodOptions):
    """Momentum contrast of each modality alone: stage 1 continued to the last epoch."""

    kind: Literal["skeletonclr"]


def _stage1(context: StageContext) -> dict[str, Any]:
    return epochs(context.recipe, 0, context.recipe.stage1_epochs)


def _continued(context: StageContext) -> dict[str, Any]:
    return epochs(context.recipe, context.recipe.stage1_epochs, context.recipe.schedule.epochs)


MOMENTUM_CONTRAST = Stage(
    name="momentum_contrast",
    summary="Stage 1: momentum contrast of one modality, shared by all methods of a recipe.",
    trainer="ikem.methods.skeletonclr.trainer:MomentumContrastTrainer",
    per_modality=True,
    shared=True,
    settings=_stage1,
)

METHOD = Method(
    title="SkeletonCLR",
    summary="Momentum contrast (MoCo) of each modality alone.",
    source=Source(
        authors="Li, Wang, Ni et al.",
        title="3D Human Action Representation Learning via Cross-View Consistency Pursuit",
        venue="CVPR",
        year=2021,
        arxiv="2104.14466",
    ),
    options=SkeletonCLR,
    stages=(
        MOMENTUM_CONTRAST,
        Stage(
            name="skeletonclr",
            summary="SkeletonCLR: stage 1 of one modality, continued to the last epoch.",
            trainer="ikem.methods.skeletonclr.trainer:MomentumContrastTrainer",
            per_modality=True,
            shared=True,
            settings=_continued,
            inputs=lambda context: context.states(MOMENTUM_CONTRAST),
            follows=(MOMENTUM_CONTRAST,),
        ),
    ),
    teaches=True,
)
