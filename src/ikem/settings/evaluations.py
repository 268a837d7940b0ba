"""What the options of all evaluations have in common; each has its own in its folder of `ikem.evaluations`."""

from __future__ import annotations

from ikem.schema import Settings


class EvaluationOptions(Settings):
    """Base of the options of an evaluation. A subclass adds `kind: Literal["<name of its folder>"]`."""

    @property
    def title(self) -> str:
        """What tables call the evaluation."""
        raise NotImplementedError

    @property
    def published_as(self) -> str:
        """What the library of published results calls it."""
        raise NotImplementedError

    @property
    def label_fraction(self) -> float | None:
        """Share of the training labels that encoders are trained with; None: the encoder is frozen."""
        return None

    @property
    def subset_numbers(self) -> tuple[int, ...]:
        """Numbers of the label subsets that it repeats on; none: it uses all training labels."""
        return ()
