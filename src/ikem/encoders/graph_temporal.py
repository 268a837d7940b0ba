"""The longest part of a block as one operation: graph convolution, BatchNorm, ReLU, temporal convolution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.layout import image_of, rows_of
from ikem.encoders.mixing import Entries, Gathering, graph_convolution
from ikem.encoders.statistics import Statistics
from ikem.encoders.strided import TimeConv2d
from ikem.encoders.temporal import convolve, convolve_slopes
from ikem.kernels.dispatch import compiled


def graph_temporal(
    x: Tensor,
    weight: Tensor,
    kernel: Tensor,
    bias: Tensor,
    entries: Entries,
    norm: nn.BatchNorm2d,
    convolution: TimeConv2d,
) -> Tensor:
    """convolution(relu(norm(graph_convolution(x, weight, kernel, entries) + bias))).

    Args:
        x: (N, C, T, V).
        weight, kernel, entries: see `ikem.encoders.mixing.graph_convolution`.
        bias: (V, B).
        norm: BatchNorm over B channels; in training mode its statistics move.
        convolution: along T, from B channels, padded so that a stride of 1 keeps T.

    Returns:
        (N, out, T / stride, V).
    """
    if norm.training and compiled(x, weight, kernel, bias, norm.weight):
        parameters = norm.weight, norm.bias, convolution.weight, convolution.bias
        more = entries, norm, convolution.stride[0]
        result: Tensor = _GraphTemporal.apply(x, weight, kernel, bias, *parameters, *more)  # type: ignore[no-untyped-call]
        return result
    y: Tensor = convolution(F.relu(norm(graph_convolution(x, weight, kernel, entries) + bias.t().unsqueeze(1))))
    return y


class _GraphTemporal(torch.autograd.Function):
    """Of all that it makes nothing is kept: the backward pass gathers, multiplies and normalises again, which costs
    little time and saves a quarter of a step's memory."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        kernel: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        taps: Tensor,
        taps_bias: Tensor,
        entries: Entries,
        norm: nn.BatchNorm2d,
        stride: int,
    ) -> Tensor:
        mixed = F.conv2d(Gathering(weight, entries).gather(x), kernel[:, :, None, None])
        rows = rows_of(mixed)
        statistics = Statistics.of(rows, bias, scale, shift, norm, x.shape[3])
        ctx.save_for_backward(x, weight, kernel, taps)
        ctx.state = entries, statistics, stride
        return convolve(image_of(statistics.apply(rows, keep=False), mixed.shape), taps, taps_bias, stride)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, kernel, taps = ctx.saved_tensors
        entries, statistics, stride = ctx.state
        gathering = Gathering(weight, entries)
        gathered = gathering.gather(x)
        mixed = F.conv2d(gathered, kernel[:, :, None, None])
        rows, shape = rows_of(mixed), mixed.shape
        result = statistics.apply(rows)
        given, taps_slope, taps_bias_slope = convolve_slopes(gradient, image_of(result, shape), taps, stride)
        slopes = statistics.slopes(rows_of(given), result, rows, overwrite=True)
        del result, given, mixed, rows
        graph_slopes = gathering.slopes(image_of(slopes.x, shape), x, gathered, kernel)
        norm_slopes = slopes.total.view(shape[3], -1), slopes.weight, slopes.shift
        return *graph_slopes, *norm_slopes, taps_slope, taps_bias_slope, None, None, None
