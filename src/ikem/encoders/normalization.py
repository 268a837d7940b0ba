"""Batch normalization; in training mode a kernel may compute it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ikem.kernels.dispatch import replaceable


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with a momentum, statistics and affine parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) to the same shape."""
        if not self.training:
            return super().forward(x)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.momentum, self.eps)


@replaceable("batch_norm")
def batch_norm(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor, momentum: float, epsilon: float
) -> Tensor:
    """Normalize each channel by its mean and variance in the batch; the running statistics are moved in place.

    Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithm 1.

    Args:
        x: (N, C, T, V).
        running_mean, running_var, weight, bias: (C,).
        momentum: share of the batch's statistics in the running ones.
        epsilon: added to the variance.

    Returns:
        like x.

    Raises:
        ValueError: a channel has only one value.
    """
    return F.batch_norm(x, running_mean, running_var, weight, bias, True, momentum, epsilon)
