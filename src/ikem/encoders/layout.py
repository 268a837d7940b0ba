"""Activations as images (N, C, T, V), channels last in memory, and as rows (N * T, V * C): a frame of a body each."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_of(x: Tensor) -> Tensor:
    """(N, C, T, V) to (N * T, V * C), channels last."""
    last = x.permute(0, 2, 3, 1).contiguous()
    return last.view(last.shape[0] * last.shape[1], -1)


def image_of(rows: Tensor, shape: torch.Size) -> Tensor:
    """(N * T, V * C) to `shape` (N, C, T, V), channels last."""
    samples, channels, frames, joints = shape
    return rows.view(samples, frames, joints, channels).permute(0, 3, 1, 2)
