"""What a batch makes of BatchNorm: its statistics, what they make of activations, and the gradients of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ikem.encoders import normalise_cpu as _compiled
from ikem.encoders.dropout import NOTHING_DROPPED, Dropout
from ikem.kernels.dispatch import over_rows

normalise_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read
Doubles = NDArray[np.float64]

_NO_ROWS = np.empty((0, 1), np.float32)


@dataclass(frozen=True)
class Slopes:
    """Gradients of x (R, W), of its sum over rows (W,), of weight and shift (C,), and of the residual (R, W)."""

    x: Tensor
    total: Tensor
    weight: Tensor
    shift: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Statistics:
    """What a batch makes of BatchNorm. All are (W,), W joints times channels.

    Attributes:
        inverse, offset: x inverse + offset has mean 0 and deviation 1.
        gain, move: x gain + move is what the layer gives.
        joints: V.
    """

    inverse: Doubles
    offset: Doubles
    gain: Doubles
    move: Doubles
    joints: int

    @classmethod
    def of(
        cls, rows: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor, norm: nn.BatchNorm2d, joints: int
    ) -> Statistics:
        """Of rows (R, W) to which `bias` is added; the running statistics of `norm` move."""
        count = rows.shape[0] * joints
        if count < 2:
            raise ValueError("BatchNorm in training mode needs more than one value of each channel")
        added = np.zeros(rows.shape[1], np.float32) if bias is None else bias.reshape(-1).numpy()
        mean, variance = _moments(rows, added, joints)
        _track(norm, mean, variance, count)
        inverse = np.tile(1 / np.sqrt(variance + norm.eps), joints)
        offset = inverse * (added - np.tile(mean, joints))
        gain, move = np.tile(weight.numpy(), joints), np.tile(shift.numpy(), joints)
        return cls(inverse, offset, gain * inverse, gain * offset + move, joints)

    def apply(
        self, rows: Tensor, dropout: Dropout | None = None, residual: Tensor | None = None, keep: bool = True
    ) -> Tensor:
        """relu(dropout(normalised and scaled rows) + residual): (R, W); `rows` become the result unless kept."""
        result = torch.empty_like(rows) if keep else rows
        arrays = (
            rows.numpy(),
            self.gain.astype(np.float32),
            self.move.astype(np.float32),
            *(NOTHING_DROPPED if dropout is None else dropout.numbers),
            _NO_ROWS if residual is None else residual.numpy(),
            result.numpy(),
        )
        over_rows(lambda start, stop: normalise_cpu.finish(*arrays, start, stop), len(rows))
        return result

    def slopes(
        self,
        gradient: Tensor,
        result: Tensor,
        rows: Tensor,
        dropout: Dropout | None = None,
        keep: bool = False,
        overwrite: bool = False,
    ) -> Slopes:
        """From the gradient of what `apply` gave.

        Args:
            gradient, result, rows: (R, W).
            dropout: that of `apply`.
            keep: whether the residual's gradient is asked for.
            overwrite: whether the memory of `gradient` may be used.
        """
        count, channels = len(rows) * self.joints, rows.shape[1] // self.joints
        x, drawn = rows.numpy(), NOTHING_DROPPED if dropout is None else dropout.numbers
        kept = gradient if overwrite else torch.empty_like(rows)
        held = kept.numpy()
        first, second = (np.empty((normalise_cpu.SLABS, rows.shape[1])) for _ in range(2))
        normalised = self.inverse.astype(np.float32), self.offset.astype(np.float32)
        arrays = (gradient.numpy(), result.numpy(), x, *normalised, *drawn, held, first, second)
        over_rows(lambda start, stop: normalise_cpu.slope_sums(*arrays, start, stop), normalise_cpu.SLABS)
        shift, weight = (sums.sum(axis=0).reshape(self.joints, channels).sum(axis=0) for sums in (first, second))
        # dx = gain (d - mean of d - normalised x times mean of d times normalised x)
        by_mean, by_x = np.tile(shift / count, self.joints), np.tile(weight / count, self.joints)
        factors = self.gain, -self.gain * (by_mean + by_x * self.offset), -self.gain * by_x * self.inverse
        target, totals = torch.empty_like(rows) if keep else kept, np.empty((normalise_cpu.SLABS, rows.shape[1]))
        last = (*(factor.astype(np.float32) for factor in factors), target.numpy(), totals)
        over_rows(lambda start, stop: normalise_cpu.slopes(held, x, *drawn, *last, start, stop), normalise_cpu.SLABS)
        total, weight, shift = (torch.from_numpy(v.astype(np.float32)) for v in (totals.sum(axis=0), weight, shift))
        return Slopes(target, total, weight, shift, kept)


def _moments(rows: Tensor, added: NDArray[np.float32], joints: int) -> tuple[Doubles, Doubles]:
    """Mean and variance (C,) float64 of rows + added, over rows and joints."""
    first, second = (np.empty((normalise_cpu.SLABS, rows.shape[1])) for _ in range(2))
    x = rows.numpy()
    over_rows(lambda start, stop: normalise_cpu.moments(x, first, second, start, stop), normalise_cpu.SLABS)
    # Of each column by itself, then all joints of a channel together.
    shift = first.sum(axis=0) / len(x)
    within = (second.sum(axis=0) / len(x) - shift * shift).reshape(joints, -1)
    means = (shift + x[0] + added).reshape(joints, -1)
    return means.mean(axis=0), np.maximum(within.mean(axis=0) + means.var(axis=0), 0.0)


def _track(norm: nn.BatchNorm2d, mean: Any, variance: Any, count: int) -> None:
    """Move the running statistics as BatchNorm does."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    share = norm.momentum if norm.momentum is not None else 1.0 / (int(norm.num_batches_tracked) + 1)
    norm.running_mean.mul_(1 - share).add_(torch.from_numpy(mean), alpha=share)
    norm.running_var.mul_(1 - share).add_(torch.from_numpy(variance * count / (count - 1)), alpha=share)
    norm.num_batches_tracked += 1
