"""MAMP: a masked transformer predicts how the joints that it does not see move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.registry import Source
from ikem.schema import Name
from ikem.settings.methods import MethodOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class MAMP(MethodOptions):
    """Masked motion prediction, of each modality alone."""

    kind: Literal["mamp"]
    recipe: Name = "mamp"
    """Recipe of the encoder, a `transformer`, and of pretraining."""
    mask_ratio: float = Field(0.9, gt=0, lt=1)
    """Share of the tokens that are hidden; what is left to see is rounded down, to one token at least."""
    mask_temperature: float = Field(0.8, gt=0, le=1e6)
    """Temperature of the masking: a low one hides what moves, a high one anything."""
    decoder_blocks: int = Field(3, ge=1, le=1000)
    """Blocks of the decoder, which is as wide as the encoder."""
    standardize: bool | None = True
    """Give each dimension of the embedding mean 0 and deviation 1 over the training clips, as the BatchNorm without
    parameters does that the published linear classifier begins with; null: as the recipe says."""

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        encoder = config.recipes[self.recipe].encoder
        if encoder.kind != "transformer":
            raise ValueError(
                f"methods.{entry}.recipe: the encoder of {self.recipe!r} is {encoder.kind!r}, which has no tokens to "
                "hide; allowed are recipes with encoder: {kind: transformer}"
            )


def _settings(context: StageContext) -> dict[str, Any]:
    schedule = context.recipe.schedule
    return {
        "first_epoch": 0,
        "last_epoch": schedule.epochs,
        "schedule": schedule.job_settings(),
        **context.options.model_dump(include={"mask_ratio", "mask_temperature", "decoder_blocks"}),
    }


METHOD = Method(
    title="MAMP",
    summary="A transformer sees few tokens of a clip and predicts the motion of the hidden ones.",
    source=Source(
        authors="Mao, Deng, Zhou et al.",
        title="Masked Motion Predictors are Strong 3D Action Representation Learners",
        venue="ICCV",
        year=2023,
        arxiv="2308.07092",
    ),
    options=MAMP,
    queue=False,
    stages=(
        Stage(
            name="mamp",
            summary="MAMP: masked motion prediction, of one modality.",
            trainer="ikem.methods.mamp.trainer:MAMPTrainer",
            per_modality=True,
            settings=_settings,
            encoder="encoder.",
        ),
    ),
)
