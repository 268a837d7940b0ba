"""Bidirectional GRU, the encoder of CMD and of the methods that build on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ikem.encoders.declaration import Encoder
from ikem.registry import Source
from ikem.settings.encoders import EncoderOptions


class BiGRU(EncoderOptions):
    """The bidirectional GRU and its projection head."""

    kind: Literal["bigru"]
    hidden_dim: int = Field(2048, ge=2, le=65_536)
    """Width of the embedding: half of it are units of each direction."""
    layers: int = Field(3, ge=1, le=32)
    """Number of layers."""
    bodies: int = Field(1, ge=1, le=16)
    """Bodies whose coordinates enter together: 1, each body is embedded by itself; 2, both at once as published."""

    @model_validator(mode="after")
    def _even(self) -> BiGRU:
        if self.hidden_dim % 2:
            raise ValueError(f"hidden_dim: {self.hidden_dim} must be even; each direction has half of it")
        return self


ENCODER = Encoder(
    title="BiGRU",
    options=BiGRU,
    network="ikem.encoders.bigru.network:BiGRU",
    source=Source(
        authors="Mao, Zhou, Lu et al.",
        title="CMD: Self-supervised 3D Action Representation Learning with Cross-modal Mutual Distillation",
        venue="ECCV",
        year=2022,
        arxiv="2208.12448",
    ),
)
