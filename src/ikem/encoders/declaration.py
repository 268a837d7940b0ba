"""What an encoder declares. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ikem.registry import Source
from ikem.settings.encoders import EncoderOptions

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.encoders.dropout import Seed


@dataclass(frozen=True)
class Encoder:
    """A registered encoder.

    Attributes:
        title: what the field calls it.
        options: its section of a recipe; `kind` is the name of its folder.
        network: "module:class" of an `nn.Module` that has the methods of `Network`. It is constructed from a skeleton
            and, by name, the section's options but `kind`, `feature_dim` and `initialization`.
        source: where it was published.
    """

    title: str
    options: type[EncoderOptions]
    network: str
    source: Source


class Network(Protocol):
    """The methods of an encoder's module; tests/encoders/test_contract.py holds every encoder to them.

    In evaluation mode an embedding depends on no other clip of the batch, and is the mean over bodies that are embedded
    each by itself, absent ones (all zero) counted. (A network that takes several bodies together, at the choice of an
    option, has their number as its attribute `bodies_together`.) No method reads a value from the device.
    """

    def forward(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """(N, M, C, T, V) to embeddings (N, D); the seed fixes dropout masks, which training needs."""

    def features(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """(N, M, C, T, V) to what `ikem.encoders.pooling.pool` takes to embeddings: (N * M, D, T', V)."""


def network_options(options: EncoderOptions) -> dict[str, Any]:
    """The keyword arguments of the network."""
    return options.model_dump(exclude={"kind", "feature_dim", "initialization"})
