"""The floor: encoders that were never trained."""

from __future__ import annotations

from typing import Any, Literal

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.settings.methods import MethodOptions


class RandomInit(MethodOptions):
    """The untrained encoder: the floor."""

    kind: Literal["random_init"]
    initialization: Literal["pytorch", "published"] = "pytorch"
    """How parameters are drawn."""
    standardize: bool = True
    """Give each dimension of the embedding mean 0 and deviation 1 over the training clips. An untrained encoder's
    embeddings hardly vary, so that without this a linear classifier at the usual learning rate stays at chance."""


def _settings(context: StageContext) -> dict[str, Any]:
    schedule = context.recipe.schedule.job_settings()
    return {
        "first_epoch": 0,
        "last_epoch": 0,
        "schedule": schedule,
        "initialization": context.options.initialization,
    }


METHOD = Method(
    title="Random",
    summary="Control: encoders with their initial parameters.",
    options=RandomInit,
    stages=(
        Stage(
            name="random_init",
            summary="The floor: untrained encoders.",
            trainer="ikem.methods.random_init.trainer:UntrainedEncoders",
            settings=_settings,
        ),
    ),
    ranked=False,
)
