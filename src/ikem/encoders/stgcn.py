"""The encoder: a spatial-temporal graph convolutional network (ST-GCN) of ten blocks.

It computes what the published encoder computes, with parameters of the published shapes, in fewer and larger
operations: joints are aggregated first and one 1x1 convolution follows, and dropout takes its masks from random bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ikem.encoders.dropout import Dropout
from ikem.encoders.fused import convolve_normalise, normalise, normalise_pool
from ikem.encoders.graph import Distances, adjacency
from ikem.encoders.graph_temporal import graph_temporal
from ikem.encoders.mixing import Entries
from ikem.encoders.strided import TimeConv2d
from ikem.skeleton import Skeleton

TEMPORAL_KERNEL = 9
SUBSETS = 3


def block_widths(hidden_channels: int, hidden_dim: int) -> list[tuple[int, int, int]]:
    """(in, out, stride) of blocks 2 to 10; the first maps the input's channels to `hidden_channels`, stride 1."""
    narrow, middle, wide = hidden_channels, 2 * hidden_channels, 4 * hidden_channels
    return [
        *[(narrow, narrow, 1)] * 3,
        (narrow, middle, 2),
        *[(middle, middle, 1)] * 2,
        (middle, wide, 2),
        (wide, wide, 1),
        (wide, hidden_dim, 1),
    ]


class Block(nn.Module):
    """Graph convolution, temporal convolution, residual.

    Args:
        channels: (in, out).
        stride: of the temporal convolution.
        joints: V.
        residual: whether the input is added (through a 1x1 convolution where its shape differs).
    """

    def __init__(self, channels: tuple[int, int], stride: int, joints: int, residual: bool) -> None:
        super().__init__()
        inputs, outputs = channels
        self.stride = stride
        self.residual = residual
        self.edge_importance = nn.Parameter(torch.ones(SUBSETS, joints, joints))
        self.graph = nn.Conv2d(inputs, SUBSETS * outputs, 1)
        self.graph_norm = nn.BatchNorm2d(outputs)
        self.temporal = TimeConv2d(outputs, outputs, TEMPORAL_KERNEL, stride)
        self.temporal_norm = nn.BatchNorm2d(outputs)
        self.shortcut: TimeConv2d | None = None
        self.shortcut_norm: nn.BatchNorm2d | None = None
        if residual and (inputs != outputs or stride != 1):
            self.shortcut = TimeConv2d(inputs, outputs, stride=stride)
            self.shortcut_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, graph: Tensor, entries: Entries, dropout: Dropout | None) -> Tensor:
        """(N, in, T, V) to (N, out, T / stride, V)."""
        y, residual = self._convolved(x, graph, entries)
        return normalise(y, self.temporal_norm, dropout, residual)

    def pooled(self, x: Tensor, graph: Tensor, entries: Entries, dropout: Dropout | None) -> Tensor:
        """The mean of `forward` over frames and joints: (N, in, T, V) to (N, out)."""
        y, residual = self._convolved(x, graph, entries)
        return normalise_pool(y, self.temporal_norm, dropout, residual)

    def _convolved(self, x: Tensor, graph: Tensor, entries: Entries) -> tuple[Tensor, Tensor | None]:
        """What is normalised, dropped and rectified last, and what is added before that."""
        weight = graph * self.edge_importance
        inputs, outputs = x.shape[1], self.temporal.out_channels
        # Of sum over subsets of (W_k x + b_k) A_k, x A_k is taken first.
        kernel = self.graph.weight.view(SUBSETS, outputs, inputs).transpose(0, 1).reshape(outputs, -1)
        # A bias reaches a joint as often as the joint receives something.
        bias = weight.sum(dim=1).t() @ self.graph.bias.view(SUBSETS, outputs)  # type: ignore[union-attr]
        y = graph_temporal(x, weight, kernel, bias, entries, self.graph_norm, self.temporal)
        residual = x if self.residual else None
        if self.shortcut is not None and self.shortcut_norm is not None:
            residual = convolve_normalise(x, self.shortcut, self.shortcut_norm)
        return y, residual


class STGCN(nn.Module):
    """Maps a batch of clips to embeddings.

    Args:
        skeleton: gives the graph.
        hidden_channels: width of the first blocks; later ones are two and four times as wide.
        hidden_dim: width of the last block, that of the embedding.
        dropout: probability of dropping a value, in all blocks but the first.
        in_channels: channels of the input.
        graph_distances: see `ikem.encoders.graph.adjacency`.
    """

    graph: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        hidden_channels: int = 16,
        hidden_dim: int = 256,
        dropout: float = 0.5,
        in_channels: int = 3,
        graph_distances: Distances = "one-hop",
    ) -> None:
        super().__init__()
        joints = skeleton.joint_count
        self.dropout = dropout
        self.register_buffer("graph", torch.from_numpy(adjacency(skeleton, graph_distances)), persistent=False)
        self._entries = Entries.of(torch.nonzero(self.graph), joints)
        self.input_norm = nn.BatchNorm1d(joints * in_channels)
        first = Block((in_channels, hidden_channels), 1, joints, residual=False)
        rest = [
            Block((inputs, outputs), stride, joints, residual=True)
            for inputs, outputs, stride in block_widths(hidden_channels, hidden_dim)
        ]
        self.blocks = nn.ModuleList([first, *rest])

    def forward(self, x: Tensor, dropout_seed: int | None = None) -> Tensor:
        """Embed clips.

        Args:
            x: (N, M, C, T, V).
            dropout_seed: fixes the dropout masks of this call; needed in training mode unless dropout is 0.

        Returns:
            (N, hidden_dim): the mean over frames and joints, then over bodies, absent ones counted.
        """
        clips, bodies = x.shape[:2]
        if not (self.training and self.dropout > 0):
            dropout_seed = None
        elif dropout_seed is None:
            raise ValueError("training with dropout needs a dropout_seed")
        x = x.flatten(0, 1)
        if self.training:
            each = self._embed(x, dropout_seed)
        else:  # each body is by itself, so what is absent is embedded once
            present = x.ne(0).flatten(1).any(dim=1)
            first = present.int().argmin()
            some = present.clone()
            some[first] = True
            place = some.cumsum(0) - 1
            each = self._embed(x[some], None)[torch.where(present, place, place[first])]
        return each.view(clips, bodies, -1).mean(dim=1)

    def _embed(self, x: Tensor, dropout_seed: int | None) -> Tensor:
        """(bodies, C, T, V) to (bodies, hidden_dim)."""
        bodies, channels, frames, joints = x.shape
        x = x.permute(0, 3, 1, 2).reshape(bodies, joints * channels, frames)
        x = self.input_norm(x).view(bodies, joints, channels, frames).permute(0, 2, 3, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        drops: list[Dropout | None] = [None] * len(self.blocks)
        if dropout_seed is not None:
            drops[1:] = [Dropout(dropout_seed + index, self.dropout) for index in range(1, len(drops))]
        *blocks, last = self.blocks
        for block, dropout in zip(blocks, drops, strict=False):
            x = block(x, self.graph, self._entries, dropout)
        assert isinstance(last, Block)
        return last.pooled(x, self.graph, self._entries, drops[-1])
