"""Linear evaluation over a grid of batch sizes and learning rates: how much of a figure is the probe's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ikem.evaluations.declaration import Evaluation
from ikem.evaluations.metrics import CLASSIFICATION
from ikem.settings.evaluations import EvaluationOptions
from ikem.settings.training import LinearSchedule


class LinearGrid(EvaluationOptions):
    """Linear evaluation with each batch size and each learning rate."""

    kind: Literal["linear_grid"]
    schedule: LinearSchedule = LinearSchedule()
    """Of all probes, but for batch size and learning rate."""
    batch_sizes: tuple[Annotated[int, Field(ge=2, le=65_536)], ...] = Field(
        (32, 128, 512), min_length=1, max_length=100, strict=False
    )
    """Clips of a step."""
    learning_rates: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (0.3, 3.0, 30.0), min_length=1, max_length=100, strict=False
    )
    """Learning rates of the first epochs."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        for key in ("batch_sizes", "learning_rates"):
            if len(set(getattr(self, key))) != len(getattr(self, key)):
                raise ValueError(f"{key}: they must differ from one another")
        return self

    @property
    def title(self) -> str:
        """See the base class."""
        return "Linear evaluation by batch size and learning rate"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return "linear-grid"

    @property
    def conditions(self) -> tuple[str, ...]:
        """See the base class."""
        return tuple(condition for _, _, condition in probes(self.batch_sizes, self.learning_rates))


def probes(batch_sizes: Sequence[int], learning_rates: Sequence[float]) -> list[tuple[int, float, str]]:
    """(batch size, learning rate, condition) of each probe."""
    grid = itertools.product(batch_sizes, learning_rates)
    return [(batch, rate, f"batch {batch}, rate {rate:g}") for batch, rate in grid]


EVALUATION = Evaluation(
    options=LinearGrid,
    summary="Linear evaluation of a method with each of several batch sizes and learning rates.",
    runs_on="embeddings",
    run="ikem.evaluations.linear_grid.run:evaluate",
    metrics=(*CLASSIFICATION, "best_epoch_top1", "best_epoch"),
)
