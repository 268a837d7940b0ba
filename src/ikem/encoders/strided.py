"""Convolution along time; on a CPU a stride in time is computed as a convolution of stride 1.

oneDNN, which computes PyTorch's convolutions on a CPU, writes out of bounds in the backward pass of a strided 1x1
convolution whose input is channels last and has few channels (oneDNN issue 6035; docs/running.md, "Known faults of
dependencies"). So no strided convolution is passed to it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ikem.kernels.dispatch import replaceable


class TimeConv2d(nn.Conv2d):
    """`nn.Conv2d` of a (K, 1) kernel, K odd, padded by K // 2 in time, with a stride in time only.

    Args:
        inputs, outputs: channels.
        taps: K.
        stride: in time; it divides K // 2.

    Raises:
        ValueError: the stride does not divide K // 2, so the middle tap would not read the first frame of its step.
    """

    def __init__(self, inputs: int, outputs: int, taps: int = 1, stride: int = 1) -> None:
        if taps // 2 % stride:
            raise ValueError(f"a stride of {stride} does not divide half of {taps} taps")
        super().__init__(inputs, outputs, (taps, 1), (stride, 1), padding=(taps // 2, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, V) to (N, outputs, ceil(T / stride), V)."""
        stride, taps = self.stride[0], self.kernel_size[0]
        if stride == 1:
            assert self.bias is not None
            return temporal_convolution(x, self.weight, self.bias)
        if x.device.type != "cpu":
            return super().forward(x)
        if taps == 1:
            return F.conv2d(x[:, :, ::stride], self.weight, self.bias)
        # `stride` frames become the channels of one: tap stride * q + p reads frame p of step q.
        steps = 2 * (taps // 2 // stride) + 1
        frames = _frames_to_channels(F.pad(x, (0, 0, 0, -x.shape[2] % stride)), stride)
        kernel = _frames_to_channels(F.pad(self.weight, (0, 0, 0, steps * stride - taps)), stride)
        return F.conv2d(frames, kernel, self.bias, padding=(steps // 2, 0))


@replaceable("temporal_convolution")
def temporal_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y[n, o, t, v] = bias[o] + the sum over c and k of weight[o, c, k + K // 2] x[n, c, t + k, v], x zero outside.

    Args:
        x: (N, C, T, V).
        weight: (O, C, K, 1), K odd.
        bias: (O,).

    Returns:
        (N, O, T, V).
    """
    return F.conv2d(x, weight, bias, padding=(weight.shape[2] // 2, 0))


def _frames_to_channels(x: Tensor, stride: int) -> Tensor:
    """(N, C, T, V) to (N, C * stride, T / stride, V)."""
    samples, channels, frames, joints = x.shape
    return x.reshape(samples, channels, frames // stride, stride, joints).transpose(2, 3).flatten(1, 2)
