"""The encoder with the operations of published code: a 1x1 convolution to three subsets, then an einsum with the graph,
and PyTorch's dropout. All else is `ikem.encoders.stgcn.network`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.stgcn.network import STGCN, SUBSETS, Block, block_widths
from ikem.skeleton import Skeleton


class _Block(Block):
    def drop(self, x: Tensor, dropout_seed: int | None) -> Tensor:
        return F.dropout(x, self.dropout, self.training, inplace=True)

    def graph_convolution(self, x: Tensor, graph: Tensor) -> Tensor:
        y = self.graph(x).unflatten(1, (SUBSETS, -1))
        return torch.einsum("nkctv,kvw->nctw", y, graph).contiguous()


class PlainSTGCN(STGCN):
    """Takes clips as they are stored on disk, (N, C, T, V, M)."""

    def __init__(
        self, skeleton: Skeleton, hidden_channels: int = 16, hidden_dim: int = 256, dropout: float = 0.5
    ) -> None:
        super().__init__(skeleton, hidden_channels, hidden_dim, dropout=0.0)
        joints = skeleton.joint_count
        self.blocks = nn.ModuleList([_Block((3, hidden_channels), 1, joints, residual=False, dropout=0.0)])
        for inputs, outputs, stride in block_widths(hidden_channels, hidden_dim):
            self.blocks.append(_Block((inputs, outputs), stride, joints, residual=True, dropout=dropout))

    def forward(self, x: Tensor, dropout_seed: int | None = None) -> Tensor:
        """(N, C, T, V, M) to (N, hidden_dim); dropout draws from PyTorch's generator."""
        return super().forward(x.permute(0, 4, 1, 2, 3))
