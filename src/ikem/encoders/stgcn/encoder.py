"""ST-GCN, the encoder of all published methods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ikem.encoders.declaration import Encoder
from ikem.registry import Source
from ikem.settings.encoders import EncoderOptions


class STGCN(EncoderOptions):
    """The ST-GCN and its projection head."""

    kind: Literal["stgcn"] = "stgcn"
    hidden_channels: int = Field(16, ge=1, le=4096)
    """Channels of the first blocks; later ones have two and four times as many."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of activations dropped in each block but the first."""
    graph_distances: Literal["one-hop", "true"] = "one-hop"
    """Distances from the center joint: known up to one hop as in the published code, or true ones."""
    activation_checkpointing: bool = False
    """Compute the activations of a block again in the backward pass instead of keeping them (`torch.utils.checkpoint`):
    less memory, more time, the same results."""


ENCODER = Encoder(
    title="ST-GCN",
    options=STGCN,
    network="ikem.encoders.stgcn.network:STGCN",
    source=Source(
        authors="Yan, Xiong, Lin",
        title="Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition",
        venue="AAAI",
        year=2018,
        arxiv="1801.07455",
    ),
)
