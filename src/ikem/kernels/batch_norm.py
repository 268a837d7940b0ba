"""Batch normalization channel by channel: a channel of a batch fits a core's cache, so memory is read once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ikem.compiling import compiled
from ikem.kernels.dispatch import over_rows


def batch_norm(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor, momentum: float, epsilon: float
) -> Tensor:
    """`ikem.encoders.normalization.batch_norm`."""
    count = x.numel() // x.shape[1]
    if count < 2:
        raise ValueError(f"batch normalization needs more than one value for each channel, got {tuple(x.shape)}")
    mean, variance = torch.empty_like(running_mean), torch.empty_like(running_var)
    y: Tensor = _BatchNorm.apply(x, weight, bias, mean, variance, epsilon)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (count / (count - 1)), momentum)
    return y


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float
    ) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        arrays = [_channels(tensor) for tensor in (x, y, weight, bias, mean, variance)]
        over_rows(functools.partial(_normalize, epsilon, *arrays), x.shape[1])
        ctx.epsilon = epsilon
        ctx.save_for_backward(x, weight, mean, variance)
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        of_x, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        tensors = (x, gradient.contiguous(), weight, mean, variance, of_x, of_weight, of_bias)
        arrays = [_channels(tensor) for tensor in tensors]
        over_rows(functools.partial(_backward, ctx.epsilon, *arrays), x.shape[1])
        return of_x, of_weight, of_bias, None, None, None


def _channels(tensor: Tensor) -> np.ndarray[Any, Any]:
    """(N, C, T, V) as (N, C, T V), (C,) as it is."""
    tensor = tensor.detach()
    return (tensor.flatten(2) if tensor.ndim > 2 else tensor).numpy()


# Sums within a row of T V values may be taken in any order, which is fixed once compiled; rows are added in float64.
_MATH = {"reassoc", "contract", "nsz"}


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def _normalize(epsilon, x, y, weight, bias, mean, variance, start, stop):  # type: ignore[no-untyped-def]
    """Channels `start` to `stop` of y, mean and variance."""
    samples, _, size = x.shape
    for channel in range(start, stop):
        total = np.float64(0)
        for sample in range(samples):
            row, part = x[sample, channel], np.float32(0)
            for index in range(size):
                part += row[index]
            total += np.float64(part)
        center, total = np.float32(total / (samples * size)), np.float64(0)
        for sample in range(samples):
            row, part = x[sample, channel], np.float32(0)
            for index in range(size):
                part += (row[index] - center) * (row[index] - center)
            total += np.float64(part)
        mean[channel], variance[channel] = center, total / (samples * size)
        scale = np.float32(weight[channel] / np.sqrt(total / (samples * size) + epsilon))
        for sample in range(samples):
            row, result = x[sample, channel], y[sample, channel]
            for index in range(size):
                result[index] = (row[index] - center) * scale + bias[channel]


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def _backward(  # type: ignore[no-untyped-def]
    epsilon, x, gradient, weight, mean, variance, of_x, of_weight, of_bias, start, stop
):
    """Channels `start` to `stop` of the gradients of y = weight (x - mean) / deviation + bias."""
    samples, _, size = x.shape
    for channel in range(start, stop):
        center, total, product = mean[channel], np.float64(0), np.float64(0)
        for sample in range(samples):
            row, given, part, centered = x[sample, channel], gradient[sample, channel], np.float32(0), np.float32(0)
            for index in range(size):
                part += given[index]
                centered += given[index] * (row[index] - center)
            total += np.float64(part)
            product += np.float64(centered)
        inverse = 1 / np.sqrt(np.float64(variance[channel]) + epsilon)
        of_weight[channel], of_bias[channel] = product * inverse, total
        scale = np.float32(weight[channel] * inverse)
        shift = np.float32(total / (samples * size))
        slope = np.float32(product * inverse * inverse / (samples * size))
        for sample in range(samples):
            row, given, result = x[sample, channel], gradient[sample, channel], of_x[sample, channel]
            for index in range(size):
                result[index] = scale * (given[index] - shift - (row[index] - center) * slope)
