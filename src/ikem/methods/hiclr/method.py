"""HiCLR: a chain of growing augmentations, each learning from the one before it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ikem.methods.aimclr.method import ExtremeOptions, extreme_settings
from ikem.methods.declaration import Method, Stage, StageContext
from ikem.registry import Source


class HiCLR(ExtremeOptions):
    """Momentum contrast with a chain of growing augmentations: normal, extreme, extreme with masked joints."""

    kind: Literal["hiclr"]
    masked_joints: float = Field(0.1, ge=0, lt=1)
    """Share of the joints that are masked in each frame of the last view; rounded down."""


def _settings(context: StageContext) -> dict[str, Any]:
    return {**extreme_settings(context), "masked_joints": context.options.masked_joints}


METHOD = Method(
    title="HiCLR",
    summary="Momentum contrast with a chain of growing augmentations, each learning the distribution before it.",
    source=Source(
        authors="Zhang, Lin, Liu",
        title="Hierarchical Consistent Contrastive Learning for Skeleton-Based Action Recognition with Growing "
        "Augmentations",
        venue="AAAI",
        year=2023,
        arxiv="2211.13466",
    ),
    options=HiCLR,
    stages=(
        Stage(
            name="hiclr",
            summary="HiCLR: momentum contrast of one modality with a chain of growing augmentations.",
            trainer="ikem.methods.hiclr.trainer:HiCLRTrainer",
            per_modality=True,
            settings=_settings,
        ),
    ),
    teaches=True,
)
