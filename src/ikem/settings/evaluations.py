"""What the options of all evaluations have in common; each has its own in its folder of `ikem.evaluations`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ikem.schema import Settings


class EvaluationOptions(Settings, ABC):
    """Base of the options of an evaluation. A subclass adds `kind: Literal["<name of its folder>"]`."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What tables call the evaluation."""

    @property
    @abstractmethod
    def published_as(self) -> str:
        """What the library of published results calls it."""

    @property
    def label_fraction(self) -> float | None:
        """Share of the training labels that encoders are trained with; None: the encoder is frozen."""
        return None

    @property
    def subset_numbers(self) -> tuple[int, ...]:
        """Numbers of the label subsets that it repeats on; none: it uses all training labels."""
        return ()
