"""BatchNorm in training mode with all that follows it: dropout, residual, ReLU, and a temporal convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ikem.models import fused_cpu as _compiled
from ikem.models.dropout import NOTHING_DROPPED, Dropout
from ikem.models.temporal import convolve, convolve_slopes
from ikem.parallel import compiled, over_rows

fused_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read
Doubles = NDArray[np.float64]


def normalise(x: Tensor, norm: nn.BatchNorm2d, dropout: Dropout | None, residual: Tensor | None) -> Tensor:
    """relu(dropout(norm(x)) + residual).

    Args:
        x: (N, C, T, V); where no gradient is asked for, the result may take its place.
        norm: BatchNorm over C; in training mode its statistics move.
        dropout: or None.
        residual: (N, C, T, V) or None.

    Returns:
        (N, C, T, V).
    """
    if norm.training and compiled(x, norm.weight, residual):
        result: Tensor = _Normalise.apply(x, norm.weight, norm.bias, residual, norm, dropout)  # type: ignore[no-untyped-call]
        return result
    y = norm(x)
    if dropout is not None:
        y = y * dropout.mask((y.shape[0], y.shape[1], y.shape[2], y.shape[3]), y.device).to(y.dtype)
    return F.relu(y if residual is None else y + residual)


def normalise_pool(x: Tensor, norm: nn.BatchNorm2d, dropout: Dropout | None, residual: Tensor | None) -> Tensor:
    """The mean of `normalise` over frames and joints: (N, C, T, V) to (N, C); x may be overwritten as there."""
    if norm.training and compiled(x, norm.weight, residual):
        result: Tensor = _NormalisePool.apply(x, norm.weight, norm.bias, residual, norm, dropout)  # type: ignore[no-untyped-call]
        return result
    return normalise(x, norm, dropout, residual).mean(dim=(2, 3))


def normalise_convolve(x: Tensor, bias: Tensor, norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> Tensor:
    """convolution(relu(norm(x + bias))).

    Args:
        x: (N, C, T, V); where no gradient is asked for, it may be overwritten.
        bias: (V, C).
        norm: BatchNorm over C; in training mode its statistics move.
        convolution: along T, padded so that a stride of 1 keeps T.

    Returns:
        (N, out, T / stride, V).
    """
    if norm.training and compiled(x, bias, norm.weight):
        parameters = norm.weight, norm.bias, convolution.weight, convolution.bias
        result: Tensor = _NormaliseConvolve.apply(x, bias, *parameters, norm, convolution.stride[0])  # type: ignore[no-untyped-call]
        return result
    y: Tensor = convolution(F.relu(norm(x + bias.t().unsqueeze(1))))
    return y


def convolve_normalise(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """norm(convolution(x)) of a 1x1 convolution, unpadded: (N, C, T, V) to (N, out, T / stride, V)."""
    if norm.training and norm.momentum is not None and compiled(x, norm.weight):
        parameters = convolution.weight, convolution.bias, norm.weight, norm.bias
        result: Tensor = _ConvolveNormalise.apply(x, *parameters, norm, convolution.stride)  # type: ignore[no-untyped-call]
        return result
    y: Tensor = norm(convolution(x))
    return y


class _ConvolveNormalise(torch.autograd.Function):
    """PyTorch's operations; what the convolution gives is computed again in the backward pass, not kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        bias: Tensor,
        weight: Tensor,
        shift: Tensor,
        norm: nn.BatchNorm2d,
        stride: tuple[int, int],
    ) -> Tensor:
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        norm.num_batches_tracked += 1
        y = F.conv2d(x, kernel, bias, stride)
        moving = norm.running_mean, norm.running_var
        result, mean, inverse = torch.native_batch_norm(y, weight, shift, *moving, True, norm.momentum, norm.eps)
        ctx.save_for_backward(x, kernel, bias, weight, mean, inverse)
        ctx.state = norm.eps, stride
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, bias, weight, mean, inverse = ctx.saved_tensors
        epsilon, stride = ctx.state
        y = F.conv2d(x, kernel, bias, stride)
        given, weight_slope, shift_slope = torch.ops.aten.native_batch_norm_backward(
            gradient, y, weight, None, None, mean, inverse, True, epsilon, (True, True, True)
        )
        where = stride, (0, 0), (1, 1), False, (0, 0), 1, (True, True, True)
        slopes = torch.ops.aten.convolution_backward(given, x, kernel, [len(bias)], *where)
        return *slopes, weight_slope, shift_slope, None, None


class _Normalise(torch.autograd.Function):
    """The result is kept for the backward pass: the next block keeps it, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Any) -> Tensor:
        rows, result = _rectified(ctx, x, *others)
        ctx.save_for_backward(rows, result)
        return _image(result, x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, result = ctx.saved_tensors
        return _rectified_slopes(ctx, _rows(gradient), result, rows, overwrite=False)


class _NormalisePool(torch.autograd.Function):
    """Of what is pooled only its signs are kept for the backward pass, a bit each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Any) -> Tensor:
        rows, result = _rectified(ctx, x, *others)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(rows, torch.from_numpy(np.packbits(~(result.numpy() <= 0))))  # lets NaN through
        return _image(result, x.shape).sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, signs = ctx.saved_tensors
        shape = ctx.state[-1]
        each = (gradient / (shape[2] * shape[3]))[:, :, None, None].expand(shape)
        reached = np.unpackbits(signs.numpy(), count=rows.numel()).reshape(rows.shape).astype(np.float32)
        return _rectified_slopes(ctx, _rows(each), torch.from_numpy(reached), rows, overwrite=True)


def _rectified(
    ctx: Any,
    x: Tensor,
    weight: Tensor,
    shift: Tensor,
    residual: Tensor | None,
    norm: nn.BatchNorm2d,
    dropout: Dropout | None,
) -> tuple[Tensor, Tensor]:
    """Rows of x, which become the result where no gradient is asked for, and of relu(dropout(norm(x)) + residual)."""
    rows = _rows(x)
    statistics = _Statistics.of(rows, None, weight, shift, norm, x.shape[3])
    ctx.state = statistics, dropout, residual is not None, x.shape
    more = None if residual is None else _rows(residual)
    return rows, statistics.apply(rows, dropout, more, keep=any(ctx.needs_input_grad))


def _rectified_slopes(
    ctx: Any, gradient: Tensor, result: Tensor, rows: Tensor, overwrite: bool
) -> tuple[Tensor | None, ...]:
    """Gradients of all that `_rectified` is given."""
    statistics, dropout, added, shape = ctx.state
    slopes = statistics.slopes(gradient, result, rows, dropout, keep=added, overwrite=overwrite)
    residual = _image(slopes.residual, shape) if added else None
    return _image(slopes.x, shape), slopes.weight, slopes.shift, residual, None, None


class _NormaliseConvolve(torch.autograd.Function):
    """What is convolved is cheap to normalise again: it is not kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor,
        weight: Tensor,
        shift: Tensor,
        kernel: Tensor,
        kernel_bias: Tensor,
        norm: nn.BatchNorm2d,
        stride: int,
    ) -> Tensor:
        rows = _rows(x)
        statistics = _Statistics.of(rows, bias, weight, shift, norm, x.shape[3])
        ctx.save_for_backward(rows, kernel)
        ctx.state = statistics, stride, x.shape
        made = statistics.apply(rows, keep=any(ctx.needs_input_grad))
        return convolve(_image(made, x.shape), kernel, kernel_bias, stride)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, kernel = ctx.saved_tensors
        statistics, stride, shape = ctx.state
        result = statistics.apply(rows)
        given, kernel_slope, kernel_bias_slope = convolve_slopes(gradient, _image(result, shape), kernel, stride)
        slopes = statistics.slopes(_rows(given), result, rows, overwrite=True)
        bias_slope = slopes.total.view(shape[3], -1)
        more = kernel_slope, kernel_bias_slope, None, None
        return _image(slopes.x, shape), bias_slope, slopes.weight, slopes.shift, *more


def _rows(x: Tensor) -> Tensor:
    """(N, C, T, V) to (N * T, V * C), channels last."""
    last = x.permute(0, 2, 3, 1).contiguous()
    return last.view(last.shape[0] * last.shape[1], -1)


def _image(rows: Tensor, shape: torch.Size) -> Tensor:
    """(N * T, V * C) to `shape` (N, C, T, V), channels last."""
    samples, channels, frames, joints = shape
    return rows.view(samples, frames, joints, channels).permute(0, 3, 1, 2)


_NO_ROWS = np.empty((0, 1), np.float32)


@dataclass(frozen=True)
class _Slopes:
    """Gradients of x (R, W), of its sum over rows (W,), of weight and shift (C,), and of the residual (R, W)."""

    x: Tensor
    total: Tensor
    weight: Tensor
    shift: Tensor
    residual: Tensor


@dataclass(frozen=True)
class _Statistics:
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
    ) -> _Statistics:
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
        over_rows(lambda start, stop: fused_cpu.finish(*arrays, start, stop), len(rows))
        return result

    def slopes(
        self,
        gradient: Tensor,
        result: Tensor,
        rows: Tensor,
        dropout: Dropout | None = None,
        keep: bool = False,
        overwrite: bool = False,
    ) -> _Slopes:
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
        first, second = (np.empty((fused_cpu.SLABS, rows.shape[1])) for _ in range(2))
        normalised = self.inverse.astype(np.float32), self.offset.astype(np.float32)
        arrays = (gradient.numpy(), result.numpy(), x, *normalised, *drawn, held, first, second)
        over_rows(lambda start, stop: fused_cpu.slope_sums(*arrays, start, stop), fused_cpu.SLABS)
        shift, weight = (sums.sum(axis=0).reshape(self.joints, channels).sum(axis=0) for sums in (first, second))
        # dx = gain (d - mean of d - normalised x times mean of d times normalised x)
        by_mean, by_x = np.tile(shift / count, self.joints), np.tile(weight / count, self.joints)
        factors = self.gain, -self.gain * (by_mean + by_x * self.offset), -self.gain * by_x * self.inverse
        target, totals = torch.empty_like(rows) if keep else kept, np.empty((fused_cpu.SLABS, rows.shape[1]))
        last = (*(factor.astype(np.float32) for factor in factors), target.numpy(), totals)
        over_rows(lambda start, stop: fused_cpu.slopes(held, x, *drawn, *last, start, stop), fused_cpu.SLABS)
        total, weight, shift = (torch.from_numpy(v.astype(np.float32)) for v in (totals.sum(axis=0), weight, shift))
        return _Slopes(target, total, weight, shift, kept)


def _moments(rows: Tensor, added: NDArray[np.float32], joints: int) -> tuple[Doubles, Doubles]:
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
