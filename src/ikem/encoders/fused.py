"""BatchNorm in training mode with what stands beside it: dropout, residual, ReLU and mean, or a 1x1 convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.dropout import Dropout
from ikem.encoders.layout import image_of, rows_of
from ikem.encoders.statistics import Statistics
from ikem.encoders.strided import TimeConv2d, fold_frames, unfold_frames
from ikem.kernels.dispatch import compiled


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


def convolve_normalise(x: Tensor, convolution: TimeConv2d, norm: nn.BatchNorm2d) -> Tensor:
    """norm(convolution(x)) of a 1x1 convolution, unpadded: (N, C, T, V) to (N, out, T / stride, V)."""
    if norm.training and norm.momentum is not None and compiled(x, norm.weight):
        parameters = convolution.weight, convolution.bias, norm.weight, norm.bias
        result: Tensor = _ConvolveNormalise.apply(x, *parameters, norm, convolution.stride[0])  # type: ignore[no-untyped-call]
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
        stride: int,
    ) -> Tensor:
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        norm.num_batches_tracked += 1
        y = F.conv2d(fold_frames(x, 1, stride), kernel, bias)
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
        read = fold_frames(x, 1, stride)
        y = F.conv2d(read, kernel, bias)
        given, weight_slope, shift_slope = torch.ops.aten.native_batch_norm_backward(
            gradient, y, weight, None, None, mean, inverse, True, epsilon, (True, True, True)
        )
        location = (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (True, True, True)
        slope, *slopes = torch.ops.aten.convolution_backward(given, read, kernel, [len(bias)], *location)
        return unfold_frames(slope, x.shape[2], 1, stride), *slopes, weight_slope, shift_slope, None, None


class _Normalise(torch.autograd.Function):
    """The result is kept for the backward pass: the next block keeps it, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Any) -> Tensor:
        rows, result = _rectified(ctx, x, *others)
        ctx.save_for_backward(rows, result)
        return image_of(result, x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, result = ctx.saved_tensors
        return _rectified_slopes(ctx, rows_of(gradient), result, rows, overwrite=False)


class _NormalisePool(torch.autograd.Function):
    """Of what is pooled only its signs are kept for the backward pass, a bit each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Any) -> Tensor:
        rows, result = _rectified(ctx, x, *others)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(rows, torch.from_numpy(np.packbits(~(result.numpy() <= 0))))  # lets NaN through
        return image_of(result, x.shape).sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, signs = ctx.saved_tensors
        shape = ctx.state[-1]
        each = (gradient / (shape[2] * shape[3]))[:, :, None, None].expand(shape)
        reached = np.unpackbits(signs.numpy(), count=rows.numel()).reshape(rows.shape).astype(np.float32)
        return _rectified_slopes(ctx, rows_of(each), torch.from_numpy(reached), rows, overwrite=True)


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
    rows = rows_of(x)
    statistics = Statistics.of(rows, None, weight, shift, norm, x.shape[3])
    ctx.state = statistics, dropout, residual is not None, x.shape
    more = None if residual is None else rows_of(residual)
    return rows, statistics.apply(rows, dropout, more, keep=any(ctx.needs_input_grad))


def _rectified_slopes(
    ctx: Any, gradient: Tensor, result: Tensor, rows: Tensor, overwrite: bool
) -> tuple[Tensor | None, ...]:
    """Gradients of all that `_rectified` is given."""
    statistics, dropout, added, shape = ctx.state
    slopes = statistics.slopes(gradient, result, rows, dropout, keep=added, overwrite=overwrite)
    residual = image_of(slopes.residual, shape) if added else None
    return image_of(slopes.x, shape), slopes.weight, slopes.shift, residual, None, None
