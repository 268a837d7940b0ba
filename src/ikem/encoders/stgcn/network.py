"""ST-GCN, a spatial-temporal graph convolutional network of ten blocks.

Yan, Xiong and Lin 2018 (AAAI, arXiv 1801.07455), in the form and with the widths that Li et al. 2021 (SkeletonCLR,
arXiv 2104.14466) and Wei et al. 2024 (IKEM, arXiv 2309.12009) train. Shapes: N clips of M bodies, C channels, T frames,
V joints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.checkpointing import checkpoint
from ikem.encoders.dropout import Seed, dropout
from ikem.encoders.graph import Distances, adjacency
from ikem.encoders.normalization import BatchNorm2d
from ikem.encoders.pooling import pool
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
        dropout: probability of dropping a value before the residual is added.
    """

    def __init__(self, channels: tuple[int, int], stride: int, joints: int, residual: bool, dropout: float) -> None:
        super().__init__()
        inputs, outputs = channels
        self.dropout, self.residual = dropout, residual
        self.edge_importance = nn.Parameter(torch.ones(SUBSETS, joints, joints))
        self.graph = nn.Conv2d(inputs, SUBSETS * outputs, 1)
        self.graph_norm = BatchNorm2d(outputs)
        self.temporal = TimeConv2d(outputs, outputs, TEMPORAL_KERNEL, stride)
        self.temporal_norm = BatchNorm2d(outputs)
        self.shortcut: TimeConv2d | None = None
        if residual and (inputs != outputs or stride != 1):
            self.shortcut = TimeConv2d(inputs, outputs, stride=stride)
            self.shortcut_norm = BatchNorm2d(outputs)

    def reset_parameters(self) -> None:
        """Every edge is as important as the graph says."""
        nn.init.ones_(self.edge_importance)

    def forward(self, x: Tensor, graph: Tensor, dropout_seed: Seed | None, joints: Tensor | None = None) -> Tensor:
        """(N, in, T, V) to (N, out, ceil(T / stride), V); graph (3, V, V), see `ikem.encoders.graph.adjacency`.

        If `joints` are given, x has these joints only, and so has the graph that is used.
        """
        graph = graph * self.edge_importance
        if joints is not None:
            graph = graph.index_select(1, joints).index_select(2, joints)
        y = F.relu(self.graph_norm(self.graph_convolution(x, graph)), inplace=True)
        y = self.drop(self.temporal_norm(self.temporal(y)), dropout_seed)
        if self.shortcut is not None:
            y = y + self.shortcut_norm(self.shortcut(x))
        elif self.residual:
            y = y + x
        return F.relu(y, inplace=True)

    def drop(self, x: Tensor, dropout_seed: Seed | None) -> Tensor:
        """Dropout by `ikem.encoders.dropout`; a seed of None: none."""
        return x if dropout_seed is None else dropout(x, dropout_seed, self.dropout)

    def graph_convolution(self, x: Tensor, graph: Tensor) -> Tensor:
        """The sum over subsets k of (W_k x + b_k) A_k, where x A_k is taken first: (N, in, T, V) to (N, out, T, V)."""
        outputs, inputs = self.graph_norm.num_features, x.shape[1]
        aggregated = torch.cat([x @ subset for subset in graph], dim=1)  # (N, 3 in, T, V)
        weight = self.graph.weight.view(SUBSETS, outputs, inputs).transpose(0, 1).reshape(outputs, -1, 1, 1)
        assert self.graph.bias is not None
        bias = self.graph.bias.view(SUBSETS, outputs).t() @ graph.sum(dim=1)  # (out, V)
        return F.conv2d(aggregated, weight) + bias.unsqueeze(1)


class STGCN(nn.Module):
    """Maps a batch of clips to embeddings. An encoder as `ikem.encoders.declaration` describes it.

    Args:
        skeleton: gives the graph.
        hidden_channels: width of the first blocks; later ones are two and four times as wide.
        hidden_dim: D, width of the last block, that of the embedding.
        dropout: probability of dropping a value, in all blocks but the first.
        graph_distances: see `ikem.encoders.graph.adjacency`.
        activation_checkpointing: compute each block again in the backward pass instead of keeping its activations.
    """

    adjacency: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        hidden_channels: int = 16,
        hidden_dim: int = 256,
        dropout: float = 0.5,
        graph_distances: Distances = "one-hop",
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        joints, axes = skeleton.joint_count, 3
        self.dropout, self.activation_checkpointing = dropout, activation_checkpointing
        self.register_buffer("adjacency", torch.from_numpy(adjacency(skeleton, graph_distances)), persistent=False)
        self.input_norm = nn.BatchNorm1d(joints * axes)
        self.blocks = nn.ModuleList([Block((axes, hidden_channels), 1, joints, residual=False, dropout=0.0)])
        for inputs, outputs, stride in block_widths(hidden_channels, hidden_dim):
            self.blocks.append(Block((inputs, outputs), stride, joints, residual=True, dropout=dropout))

    def forward(self, x: Tensor, dropout_seed: Seed | None = None, joints: Tensor | None = None) -> Tensor:
        """Embed clips (N, M, C, T, V): the mean (N, D) over frames, joints and bodies, absent bodies counted."""
        return pool(self.features(x, dropout_seed, joints), bodies=x.shape[1])

    def features(self, x: Tensor, dropout_seed: Seed | None = None, joints: Tensor | None = None) -> Tensor:
        """What the last block gives for each body of each clip.

        Args:
            x: (N, M, C, T, V).
            dropout_seed: fixes the dropout masks of this call; needed in training mode unless dropout is 0.
            joints: (V',) int64, the joints that are kept; all others, and their edges, leave the graph after the input
                is normalized. None: all are kept.

        Returns:
            (N * M, D, T', V'), T' = ceil(T / 4).

        Raises:
            ValueError: the seed is missing.
        """
        if not (self.training and self.dropout > 0):
            dropout_seed = None
        elif dropout_seed is None:
            raise ValueError("training with dropout needs a dropout_seed")
        bodies, (axes, frames, count) = x.shape[0] * x.shape[1], x.shape[2:]
        x = x.flatten(0, 1).permute(0, 3, 1, 2).reshape(bodies, count * axes, frames)
        x = self.input_norm(x).view(bodies, count, axes, frames).permute(0, 2, 3, 1)
        x = x.contiguous() if joints is None else x.index_select(3, joints)
        for number, block in enumerate(self.blocks):
            seed = None if dropout_seed is None or number == 0 else dropout_seed + number
            if self.activation_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, self.adjacency, seed, joints)
            else:
                x = block(x, self.adjacency, seed, joints)
        return x
