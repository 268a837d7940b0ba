"""What the options of all evaluations have in common; each has its own in its folder of `ikem.evaluations`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ikem.schema import Name, Settings

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class Transfer(Settings):
    """Another dataset than the one that encoders were pretrained on, or another split of it."""

    dataset: Name
    """Dataset entry. It must have the skeleton, and `prepare`, of that of the pretraining."""
    protocol: Name
    """Protocol of the dataset. Its test clips that pretraining has seen, by name, are left out."""


class EvaluationOptions(Settings, ABC):
    """Base of the options of an evaluation. A subclass adds `kind: Literal["<name of its folder>"]`."""

    target: Transfer | None = None
    """Transfer: the dataset to evaluate on; by default the one of the pretraining."""

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

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions that it tests under, in words, in the order of tables; none: it has a row for each stream."""
        return ()

    @property
    def tested_classes(self) -> tuple[int, ...] | None:
        """The labels that are tested, in the order of the columns of scores; None: all."""
        return None

    @property
    def builds_on(self) -> dict[str, str]:
        """Entries of evaluations of the same method whose results it needs, by the name under which it finds them."""
        return {}

    def check(self, entry: str, config: Config) -> None:
        """Look at what the options name elsewhere in the config; overridden by evaluations that name something.

        Args:
            entry: key of the evaluation in the config.
            config: the whole config, its entries valid by themselves.

        Raises:
            ValueError: something is unknown or does not fit; the message begins with the key.
        """
