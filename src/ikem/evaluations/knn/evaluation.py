"""Nearest-neighbor evaluation of frozen embeddings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ikem.evaluations.declaration import Evaluation
from ikem.registry import Source
from ikem.schema import Count
from ikem.settings.evaluations import EvaluationOptions


class Knn(EvaluationOptions):
    """Nearest neighbors by cosine similarity of frozen embeddings."""

    kind: Literal["knn"]
    k: int = Field(1, ge=1, le=Count)
    """Neighbors that vote; ties go to the class of the nearest of them."""

    @property
    def title(self) -> str:
        """See the base class."""
        return f"Nearest neighbors (cosine, k = {self.k})"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return f"knn-{self.k}"


EVALUATION = Evaluation(
    options=Knn,
    summary="Nearest-neighbor evaluation of a method: classes of the most similar training clips.",
    runs_on="embeddings",
    run="ikem.evaluations.knn.run:evaluate",
    source=Source(
        "Wu, Xiong, Yu et al.",
        "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
        "CVPR",
        2018,
        arxiv="1805.01978",
    ),
)
