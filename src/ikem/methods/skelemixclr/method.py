"""SkeleMixCLR: momentum contrast with clips of which a part is another clip."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.registry import Source
from ikem.settings.methods import MethodOptions


class SkeleMixCLR(MethodOptions):
    """Momentum contrast with clips into which body parts of another clip are pasted for a while."""

    kind: Literal["skelemixclr"]
    mixes: int = Field(3, ge=0, le=100)
    """Mixtures of a batch in each step."""
    sum_of_mixes: Literal["sum", "mean"] = "sum"
    """How the losses of the mixtures are added to that of the clips: the second published version sums, the first
    averaged."""
    fewest_parts: int = Field(2, ge=1, le=100)
    """Fewest body parts that are pasted."""
    most_parts: int = Field(3, ge=1, le=100)
    """Most body parts that are pasted; the trunk and each limb are parts."""
    shortest_block: float = Field(7 / 16, gt=0, le=1)
    """Share of the time of the shortest pasted block."""
    longest_block: float = Field(11 / 16, gt=0, le=1)
    """Share of the time of the longest pasted block."""
    normalized_head: bool = True
    """Whether the projection head has a BatchNorm layer, as in the published code."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fewest_parts > self.most_parts:
            raise ValueError("fewest_parts: more than most_parts")
        if self.shortest_block > self.longest_block:
            raise ValueError("shortest_block: more than longest_block")
        return self


_OPTIONS = {
    *("mixes", "sum_of_mixes", "fewest_parts", "most_parts", "shortest_block", "longest_block", "normalized_head"),
}


def _settings(context: StageContext) -> dict[str, Any]:
    recipe = context.recipe
    return {**context.options.model_dump(include=_OPTIONS), **epochs(recipe, 0, recipe.schedule.epochs)}


METHOD = Method(
    title="SkeleMixCLR",
    summary="Momentum contrast of clips, and of regions of clips into which parts of others are pasted.",
    source=Source(
        authors="Chen, Liu, Guo et al.",
        title="Contrastive Learning from Spatio-Temporal Mixed Skeleton Sequences for Self-Supervised Skeleton-Based "
        "Action Recognition",
        venue="arXiv",
        year=2022,
        arxiv="2207.03065",
    ),
    options=SkeleMixCLR,
    stages=(
        Stage(
            name="skelemixclr",
            summary="SkeleMixCLR: momentum contrast of one modality with mixed clips.",
            trainer="ikem.methods.skelemixclr.trainer:SkeleMixTrainer",
            per_modality=True,
            settings=_settings,
        ),
    ),
)
