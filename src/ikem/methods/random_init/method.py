"""The floor: encoders that were never trained."""

from __future__ import annotations

from typing import Any, Literal

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.settings.methods import MethodOptions
from ikem.settings.training import Schedule


class RandomInit(MethodOptions):
    """The untrained encoder: the floor."""

    kind: Literal["random_init"]
    initialization: Literal["pytorch", "published"] = "pytorch"
    """How parameters are drawn."""
    standardize: bool | None = True
    """Give each dimension of the embedding mean 0 and deviation 1 over the training clips, before it is evaluated;
    null: as the recipe says. An untrained encoder's embeddings hardly vary, so that without this a linear classifier at
    the usual learning rate stays at chance."""


# Of a recipe only the encoder and the arithmetic count: with another schedule the same encoders are drawn.
_NO_TRAINING = {
    "first_epoch": 0,
    "last_epoch": 0,
    "schedule": Schedule(epochs=1, batch_size=2, learning_rate=1).job_settings(),
    "augmentations": [],
    "drop_last": False,
}


def _settings(context: StageContext) -> dict[str, Any]:
    return {**_NO_TRAINING, "initialization": context.options.initialization}


METHOD = Method(
    title="Random",
    summary="Control: encoders with their initial parameters.",
    options=RandomInit,
    stages=(
        Stage(
            name="random_init",
            summary="The floor: untrained encoders.",
            trainer="ikem.methods.random_init.trainer:UntrainedEncoders",
            independent_modalities=True,
            settings=_settings,
        ),
    ),
    ranked=False,
)
