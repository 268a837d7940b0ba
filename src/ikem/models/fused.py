"""BatchNorm in training mode with all that follows it up to the next convolution: dropout, residual, ReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.models import fused_cpu as _compiled
from ikem.parallel import compiled, over_rows

fused_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read


@dataclass(frozen=True)
class Dropout:
    """Which values of activations (N, C, T, V) are dropped.

    Attributes:
        bits: (N, T, V, C) int16, random.
        least: the least bits of a value that is kept.
        factor: what kept values are multiplied with.
    """

    bits: Tensor
    least: int
    factor: float

    @classmethod
    def draw(cls, shape: tuple[int, int, int, int], probability: float, generator: torch.Generator) -> Dropout:
        """Draw for activations of `shape` (N, C, T, V), on the generator's device.

        Sixteen random bits decide each value: a probability that is no multiple of 1/65536 is taken to the nearest one.
        """
        samples, channels, frames, joints = shape
        count = math.prod(shape)
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=generator.device)
        words.random_(-(2**63), None, generator=generator)
        dropped = min(round(probability * 65536), 65535)
        bits = words.view(torch.int16)[:count].view(samples, frames, joints, channels)
        return cls(bits, dropped - 32768, 65536 / (65536 - dropped))

    def mask(self) -> Tensor:
        """(N, C, T, V): the factor where a value is kept, else 0."""
        return ((self.bits >= self.least) * self.factor).permute(0, 3, 1, 2)


def normalise(
    x: Tensor, norm: nn.BatchNorm2d, bias: Tensor | None, dropout: Dropout | None, residual: Tensor | None
) -> Tensor:
    """relu(dropout(norm(x + bias)) + residual).

    Args:
        x: (N, C, T, V).
        norm: BatchNorm over C; in training mode its statistics move.
        bias: (V, C) or None.
        dropout: or None.
        residual: (N, C, T, V) or None.

    Returns:
        (N, C, T, V).
    """
    if norm.training and compiled(x, bias, norm.weight, residual):
        result: Tensor = _Normalise.apply(x, bias, norm.weight, norm.bias, residual, norm, dropout)  # type: ignore[no-untyped-call]
        return result
    y = norm(x if bias is None else x + bias.t().unsqueeze(1))
    if dropout is not None:
        y = y * dropout.mask()
    return F.relu(y if residual is None else y + residual)


def _rows(x: Tensor) -> Tensor:
    """(N, C, T, V) to (N * T, V * C), channels last."""
    last = x.permute(0, 2, 3, 1).contiguous()
    return last.view(last.shape[0] * last.shape[1], -1)


_NO_FLOATS, _NO_BITS = np.empty((0, 1), np.float32), np.empty((0, 1), np.int16)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        shift: Tensor,
        residual: Tensor | None,
        norm: nn.BatchNorm2d,
        dropout: Dropout | None,
    ) -> Tensor:
        samples, channels, frames, joints = x.shape
        rows = _rows(x)
        count = rows.shape[0] * joints
        if count < 2:
            raise ValueError("BatchNorm in training mode needs more than one value of each channel")
        added = np.zeros(rows.shape[1], np.float32) if bias is None else bias.reshape(-1).numpy()
        mean, variance = _moments(rows, added, joints)
        centred = added - np.tile(mean, joints)
        _track(norm, mean, variance, count)
        inverse = np.tile(1 / np.sqrt(variance + norm.eps), joints)
        gain = inverse * np.tile(weight.numpy(), joints)
        move = gain * centred + np.tile(shift.numpy(), joints)
        result = torch.empty(samples, frames, joints, channels)
        more = None if residual is None else _rows(residual)
        arrays = (
            rows.numpy(),
            gain.astype(np.float32),
            move.astype(np.float32),
            *_drawn(dropout, rows),
            _NO_FLOATS if more is None else more.numpy(),
            result.view(rows.shape).numpy(),
        )
        over_rows(lambda start, stop: fused_cpu.finish(*arrays, start, stop), len(rows))
        ctx.save_for_backward(rows, result, weight)
        ctx.state = (inverse, inverse * centred, dropout, bias is not None, residual is not None)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, result, weight = ctx.saved_tensors
        inverse, offset, dropout, biased, added = ctx.state
        samples, frames, joints, channels = result.shape
        count = len(rows) * joints
        given, out, x = _rows(gradient).numpy(), result.view(rows.shape).numpy(), rows.numpy()
        drawn = _drawn(dropout, rows)
        more = torch.empty_like(rows) if added else None
        first, second = (np.empty((fused_cpu.SLABS, rows.shape[1])) for _ in range(2))
        arrays = (given, out, x, inverse.astype(np.float32), offset.astype(np.float32), *drawn)
        kept = _NO_FLOATS if more is None else more.numpy()
        over_rows(lambda start, stop: fused_cpu.slope_sums(*arrays, kept, first, second, start, stop), fused_cpu.SLABS)
        shift_gradient = first.sum(axis=0).reshape(joints, channels).sum(axis=0)
        weight_gradient = second.sum(axis=0).reshape(joints, channels).sum(axis=0)
        # dx = gain (d - mean of d - normalised x times mean of d times normalised x)
        gain = inverse * np.tile(weight.numpy(), joints)
        by_mean, by_x = np.tile(shift_gradient / count, joints), np.tile(weight_gradient / count, joints)
        factors = [gain, -gain * (by_mean + by_x * offset), -gain * by_x * inverse]
        target = torch.empty_like(rows)
        totals = np.empty((fused_cpu.SLABS if biased else 0, rows.shape[1]))
        last = (*(factor.astype(np.float32) for factor in factors), target.numpy(), totals)
        over_rows(lambda start, stop: fused_cpu.slopes(given, out, x, *drawn, *last, start, stop), fused_cpu.SLABS)
        shape = (samples, frames, joints, channels)
        return (
            target.view(shape).permute(0, 3, 1, 2),
            torch.from_numpy(totals.sum(axis=0).astype(np.float32)).view(joints, channels) if biased else None,
            torch.from_numpy(weight_gradient.astype(np.float32)),
            torch.from_numpy(shift_gradient.astype(np.float32)),
            None if more is None else more.view(shape).permute(0, 3, 1, 2),
            None,
            None,
        )


def _drawn(dropout: Dropout | None, rows: Tensor) -> tuple[Any, ...]:
    if dropout is None:
        return _NO_BITS, np.int16(0), np.float32(1)
    return dropout.bits.view(rows.shape).numpy(), np.int16(dropout.least), np.float32(dropout.factor)


def _moments(rows: Tensor, added: Any, joints: int) -> tuple[Any, Any]:
    """Mean and variance (C,) float64 of rows + added, over rows and joints."""
    first, second = (np.empty((fused_cpu.SLABS, rows.shape[1])) for _ in range(2))
    x = rows.numpy()
    over_rows(lambda start, stop: fused_cpu.moments(x, first, second, start, stop), fused_cpu.SLABS)
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
