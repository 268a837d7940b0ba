"""AimCLR: momentum contrast with extreme augmentations and mined neighbors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ikem.augmentations.registry import AUGMENTATIONS, PUBLISHED, AugmentationEntry
from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.registry import Source
from ikem.schema import Count
from ikem.settings.methods import MethodOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config

EXTREME: tuple[AugmentationEntry, ...] = (
    *PUBLISHED,
    *(AUGMENTATIONS[name].options() for name in ("swap", "rotation", "gaussian_noise", "gaussian_blur", "axis_mask")),
)
"""The extreme augmentations of the published code, in its order; the paper has `time_flip` besides."""


class ExtremeOptions(MethodOptions):
    """Options of methods that compare normal views with extreme ones."""

    extreme_augmentations: tuple[AugmentationEntry, ...] = Field(EXTREME, max_length=100, strict=False)
    """What turns a clip into an extreme view, in this order; normal views are the recipe's."""
    mining_epoch: int | None = Field(None, ge=0, le=Count)
    """Epochs without mined neighbors; null: `stage1_epochs` of the recipe."""
    top_k: int = Field(1, ge=1, le=Count)
    """Neighbors in the queue that each view mines as positives."""
    positives: Literal["separate", "together"] = "separate"
    """The mean of the losses of all positives, as in the published code, or the loss of the sum of their probabilities,
    as in the paper."""

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        queue = config.recipes[self.recipe].contrast.queue_size
        if self.top_k > queue:
            raise ValueError(f"methods.{entry}.top_k: more than the queue has; allowed are 1 to {queue}")


class AimCLR(ExtremeOptions):
    """Momentum contrast with extreme augmentations, attention-guided dropping and mined neighbors."""

    kind: Literal["aimclr"]
    joint_threshold: float = Field(0.7, ge=0, le=1)
    """Attention from which a joint is dropped."""
    time_threshold: float = Field(0.7, ge=0, le=1)
    """Attention from which a value or a frame is dropped."""
    time_drop: Literal["values", "frames"] = "values"
    """What is dropped by the second threshold: values of the feature map, as in the published code, or whole frames."""


def extreme_settings(context: StageContext) -> dict[str, Any]:
    """What all methods with extreme views have in their settings."""
    options, recipe = context.options.model_dump(mode="json"), context.recipe
    mining_epoch = recipe.stage1_epochs if options["mining_epoch"] is None else options["mining_epoch"]
    return {
        **{name: options[name] for name in ("extreme_augmentations", "top_k", "positives")},
        "mining_epoch": min(mining_epoch, recipe.schedule.epochs),
        **epochs(recipe, 0, recipe.schedule.epochs),
    }


def _settings(context: StageContext) -> dict[str, Any]:
    chosen = context.options.model_dump(include={"joint_threshold", "time_threshold", "time_drop"})
    return {**extreme_settings(context), **chosen}


METHOD = Method(
    title="AimCLR",
    summary="Momentum contrast whose extreme views learn the distribution of a normal one, with mined neighbors.",
    source=Source(
        authors="Guo, Liu, Chen et al.",
        title="Contrastive Learning from Extremely Augmented Skeleton Sequences for Self-Supervised Action Recognition",
        venue="AAAI",
        year=2022,
        arxiv="2112.03590",
    ),
    options=AimCLR,
    stages=(
        Stage(
            name="aimclr",
            summary="AimCLR: momentum contrast of one modality with extreme views.",
            trainer="ikem.methods.aimclr.trainer:AimCLRTrainer",
            per_modality=True,
            settings=_settings,
        ),
    ),
    teaches=True,
)
