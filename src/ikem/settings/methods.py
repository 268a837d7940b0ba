"""What the options of all methods have in common; the options of a method are in its folder of `ikem.methods`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from ikem.schema import ModalityName, Name, Settings, Title

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class MethodOptions(Settings):
    """Base of the options of a method. A subclass adds `kind: Literal["<name of its folder>"]` and keys of its own."""

    title: Title | None = None
    """Name as tables show it; by default the entry's name."""
    published_as: Title | None = None
    """Name under which the tables look for published results of this very method."""
    modalities: tuple[ModalityName, ...] = Field(min_length=1, max_length=100, strict=False)
    """Modalities with an encoder each; results are given for each and for their fusion."""
    recipe: Name = "published"
    """Recipe of the encoders and of pretraining."""
    standardize: bool | None = None
    """Give each dimension of the embedding mean 0 and deviation 1 over the training clips, before it is evaluated;
    null: as the recipe says."""

    @model_validator(mode="after")
    def _different(self) -> MethodOptions:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities: they must differ from one another")
        return self

    def check(self, entry: str, config: Config) -> None:
        """Look at what the options name elsewhere in the config; overridden by methods that name something.

        Args:
            entry: key of the method in the config.
            config: the whole config, its entries valid by themselves.

        Raises:
            ValueError: something is unknown or does not fit; the message begins with the key.
        """

    def default_title(self, entry: str, config: Config) -> str:
        """The title where the entry has none."""
        return entry
