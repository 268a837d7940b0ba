"""Few-shot recognition: clips of chosen classes by their nearest exemplars."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ikem.data.clips import LARGEST_LABEL
from ikem.evaluations.declaration import Evaluation
from ikem.registry import Source
from ikem.schema import Count
from ikem.settings.evaluations import EvaluationOptions


class FewShot(EvaluationOptions):
    """The nearest exemplars by cosine similarity of frozen embeddings, of which each class has few."""

    kind: Literal["few_shot"]
    classes: tuple[Annotated[int, Field(ge=0, le=LARGEST_LABEL)], ...] | None = Field(
        None, min_length=2, max_length=100_000, strict=False
    )
    """Labels of the classes to tell apart, counted from 0; null: all."""
    shots: tuple[Annotated[int, Field(ge=1, le=Count)], ...] = Field((1,), min_length=1, max_length=1000, strict=False)
    """Exemplars of each class, drawn from its training clips; all of them, if there are fewer."""
    exemplar_sets: tuple[Annotated[int, Field(ge=0, le=Count)], ...] = Field(
        (0, 1, 2, 3, 4), min_length=1, max_length=1000, strict=False
    )
    """Numbers of the draws of exemplars that it is repeated with; tables count them as label subsets."""
    k: int = Field(1, ge=1, le=Count)
    """Exemplars that vote; ties go to the class of the nearest of them."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        for key in ("classes", "shots", "exemplar_sets"):
            values = getattr(self, key) or ()
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: they must differ from one another")
        return self

    @property
    def title(self) -> str:
        """See the base class."""
        classes = "all" if self.classes is None else len(self.classes)
        vote = "nearest exemplar" if self.k == 1 else f"the {self.k} nearest exemplars vote"
        return f"Few-shot, {classes} classes, {vote}"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return "few-shot"

    @property
    def conditions(self) -> tuple[str, ...]:
        """See the base class."""
        return tuple(f"{count} exemplar{'s' if count > 1 else ''}" for count in self.shots)

    @property
    def tested_classes(self) -> tuple[int, ...] | None:
        """See the base class."""
        return self.classes


EVALUATION = Evaluation(
    options=FewShot,
    summary="Few-shot evaluation of a method: classes of the most similar among few exemplars.",
    runs_on="embeddings",
    run="ikem.evaluations.few_shot.run:evaluate",
    source=Source(
        "Liu, Shahroudy, Perez et al.",
        "NTU RGB+D 120: A Large-Scale Benchmark for 3D Human Activity Understanding",
        "TPAMI",
        2020,
        arxiv="1905.04757",
    ),
)
