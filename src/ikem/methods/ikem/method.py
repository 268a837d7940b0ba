"""IKEM: stage 2 with the implicit knowledge exchange module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.methods.skeletonclr.method import MOMENTUM_CONTRAST
from ikem.registry import Source
from ikem.schema import Count, ModalityName
from ikem.settings.methods import MethodOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class ExchangeOptions(MethodOptions):
    """Options that every exchange of knowledge between modalities has."""

    top_k: int = Field(1, ge=1, le=Count)
    """Positives mined for each clip by each other modality."""

    @model_validator(mode="after")
    def _several(self) -> ExchangeOptions:
        if len(self.modalities) < 2:
            raise ValueError("modalities: two or more are needed; one alone has no other to exchange with")
        return self

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        queue = config.recipes[self.recipe].contrast.queue_size
        if self.top_k > queue:
            raise ValueError(f"methods.{entry}.top_k: more than the queue has; allowed are 1 to {queue}")


class IKEM(ExchangeOptions):
    """Stage 2 with the implicit knowledge exchange module."""

    kind: Literal["ikem"]
    momentum_modalities: tuple[ModalityName, ...] = Field(
        ("motion", "acceleration", "angular_velocity"), max_length=100, strict=False
    )
    """Modalities whose key encoder keeps its momentum (EMA) update in stage 2."""
    explicit: bool = True
    """Exchange of mined positives."""
    implicit: bool = True
    """Exchange by the second head and the joint queue of all modalities."""

    def default_title(self, entry: str, config: Config) -> str:
        """See the base class."""
        return f"IKEM-{len(self.modalities)}"

    @model_validator(mode="after")
    def _some(self) -> IKEM:
        if not (self.explicit or self.implicit):
            raise ValueError("implicit: this or explicit must be true; without both nothing is exchanged")
        return self


def stage2(context: StageContext) -> dict[str, Any]:
    """The settings of a stage 2 that every exchange has: its epochs, and the positives."""
    recipe = context.recipe
    return {"top_k": context.options.top_k, **epochs(recipe, recipe.stage1_epochs, recipe.schedule.epochs)}


def _exchange(context: StageContext) -> dict[str, Any]:
    options = context.options
    following = [name for name in options.modalities if name in options.momentum_modalities]
    chosen = {"momentum_modalities": following, "explicit": options.explicit, "implicit": options.implicit}
    return {**stage2(context), **chosen}


METHOD = Method(
    title="IKEM",
    summary="Modalities learn by momentum contrast, first alone; then they exchange mined positives and, by a second "
    "head, all their keys.",
    source=Source(
        authors="Wei, Peng, Roitberg et al.",
        title="Elevating Skeleton-Based Action Recognition with Efficient Multi-Modality Self-Supervision",
        venue="ICASSP",
        year=2024,
        arxiv="2309.12009",
    ),
    options=IKEM,
    stages=(
        MOMENTUM_CONTRAST,
        Stage(
            name="ikem",
            summary="IKEM, stage 2: the modalities of a method exchange knowledge.",
            trainer="ikem.methods.ikem.trainer:ExchangeTrainer",
            settings=_exchange,
            inputs=lambda context: context.states(MOMENTUM_CONTRAST),
            follows=(MOMENTUM_CONTRAST,),
            divisible=True,
        ),
    ),
    teaches=True,
)
