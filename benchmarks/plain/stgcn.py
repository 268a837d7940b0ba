"""The encoder as published code runs it: a 1x1 convolution to three subsets, then an einsum with the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ikem.encoders.graph import adjacency
from ikem.encoders.stgcn import block_widths
from ikem.encoders.strided import TimeConv2d
from ikem.skeleton import Skeleton


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool, dropout: float) -> None:
        super().__init__()
        self.graph = nn.Conv2d(inputs, 3 * outputs, 1)
        self.graph_norm = nn.BatchNorm2d(outputs)
        self.temporal = TimeConv2d(outputs, outputs, 9, stride)
        self.temporal_norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout, inplace=True)
        self.relu = nn.ReLU(inplace=True)
        self.residual = residual
        if residual and (inputs != outputs or stride != 1):
            self.shortcut = TimeConv2d(inputs, outputs, stride=stride)
            self.shortcut_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        y = self.graph(x)
        samples, channels, frames, joints = y.shape
        y = torch.einsum("nkctv,kvw->nctw", y.view(samples, 3, channels // 3, frames, joints), weight).contiguous()
        y = self.temporal(self.relu(self.graph_norm(y)))
        y = self.dropout(self.temporal_norm(y))
        if hasattr(self, "shortcut"):
            y = y + self.shortcut_norm(self.shortcut(x))
        elif self.residual:
            y = y + x
        return self.relu(y)


class PlainSTGCN(nn.Module):
    """Takes clips as they lie on disk, (N, C, T, V, M); its state has the names of `ikem.encoders.stgcn.STGCN`."""

    def __init__(
        self, skeleton: Skeleton, hidden_channels: int = 16, hidden_dim: int = 256, dropout: float = 0.5
    ) -> None:
        super().__init__()
        joints = skeleton.joint_count
        self.register_buffer("graph", torch.from_numpy(adjacency(skeleton)), persistent=False)
        self.input_norm = nn.BatchNorm1d(3 * joints)
        self.blocks = nn.ModuleList([_Block(3, hidden_channels, 1, residual=False, dropout=0.0)])
        for inputs, outputs, stride in block_widths(hidden_channels, hidden_dim):
            self.blocks.append(_Block(inputs, outputs, stride, residual=True, dropout=dropout))
        for block in self.blocks:
            block.edge_importance = nn.Parameter(torch.ones(3, joints, joints))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N, hidden_dim)."""
        clips, channels, frames, joints, bodies = x.shape
        x = x.permute(0, 4, 3, 1, 2).contiguous().view(clips * bodies, joints * channels, frames)
        x = self.input_norm(x).view(clips, bodies, joints, channels, frames).permute(0, 1, 3, 4, 2).contiguous()
        x = x.view(clips * bodies, channels, frames, joints)
        for block in self.blocks:
            x = block(x, self.graph * block.edge_importance)
        x = torch.nn.functional.avg_pool2d(x, x.shape[2:])
        return x.view(clips, bodies, -1).mean(dim=1)
