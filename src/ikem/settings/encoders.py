"""What the options of every encoder have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ikem.schema import Settings

Initialization = Literal["published", "pytorch"]


class EncoderOptions(Settings):
    """An encoder and its projection head; each kind of encoder adds its `kind` and options of its own."""

    kind: str
    """Name of the encoder."""
    hidden_dim: int = Field(256, ge=2, le=65_536)
    """Width of the embedding."""
    feature_dim: int = Field(128, ge=2, le=65_536)
    """Width of the contrasted feature."""
    initialization: Initialization = "published"
    """How parameters are drawn: with deviation 0.02 as published, or as PyTorch does, which short schedules need."""
