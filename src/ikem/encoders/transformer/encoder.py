"""Transformer over tokens of a joint and a few frames, the encoder of masked modeling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ikem.encoders.declaration import Encoder
from ikem.registry import Source
from ikem.settings.encoders import EncoderOptions


class Transformer(EncoderOptions):
    """A transformer whose tokens are a joint in a few consecutive frames."""

    kind: Literal["transformer"]
    frames: int = Field(120, ge=1, le=10_000)
    """Frames of the longest clip: embeddings of time are learned for so many. Datasets are prepared with as many, or
    fewer (`prepare.frames`)."""
    segment: int = Field(4, ge=1, le=1000)
    """Frames of a token."""
    blocks: int = Field(8, ge=1, le=1000)
    """Number of blocks."""
    heads: int = Field(8, ge=1, le=1024)
    """Heads of each attention; they share `hidden_dim` evenly."""
    mlp_ratio: int = Field(4, ge=1, le=64)
    """Width of the hidden layer of each block, as a multiple of `hidden_dim`."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of values dropped from what attention and perceptron of a block add. Pretraining by masking has none."""
    drop_path: float = Field(0.0, ge=0, lt=1)
    """Probability that the last block adds nothing to a sequence (stochastic depth); it grows evenly from 0 in the
    first block. Pretraining by masking has none."""

    @model_validator(mode="after")
    def _heads_share(self) -> Transformer:
        if self.hidden_dim % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide hidden_dim ({self.hidden_dim}) evenly")
        return self


ENCODER = Encoder(
    title="Transformer",
    options=Transformer,
    network="ikem.encoders.transformer.network:Transformer",
    source=Source(
        authors="Mao, Deng, Zhou, Fang, Ouyang, Li",
        title="Masked Motion Predictors are Strong 3D Action Representation Learners",
        venue="ICCV",
        year=2023,
        arxiv="2308.07092",
    ),
)
