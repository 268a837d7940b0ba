"""Linear evaluation: a linear classifier on frozen embeddings."""

from __future__ import annotations

from typing import Literal

from ikem.evaluations.declaration import Evaluation
from ikem.evaluations.metrics import CLASSIFICATION
from ikem.registry import Source
from ikem.settings.evaluations import EvaluationOptions
from ikem.settings.training import LinearSchedule

CLASSIFIERS = "classifiers.safetensors"
"""The part that holds the classifiers after the last epoch."""


class Linear(EvaluationOptions):
    """A linear classifier on frozen embeddings, each modality alone and all on their mean logits."""

    kind: Literal["linear"]
    schedule: LinearSchedule = LinearSchedule()
    """Schedule of the classifiers: epochs, batch size, learning rate and its decay."""

    @property
    def title(self) -> str:
        """See the base class."""
        return "Linear evaluation"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return "linear"


EVALUATION = Evaluation(
    options=Linear,
    summary="Linear evaluation of a method: classifiers on frozen embeddings.",
    runs_on="embeddings",
    run="ikem.evaluations.linear.run:evaluate",
    keeps=(CLASSIFIERS,),
    metrics=(*CLASSIFICATION, "best_epoch_top1", "best_epoch"),
    source=Source("Zhang, Isola, Efros", "Colorful Image Colorization", "ECCV", 2016, arxiv="1603.08511"),
)
