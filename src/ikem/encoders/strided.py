"""Convolution along time without a stride on the CPU.

oneDNN, which computes PyTorch's convolutions on a CPU, writes out of bounds in the backward pass of a strided 1x1
convolution whose input is channels last and has few channels (oneDNN issue 6035; docs/running.md, "Known faults of
dependencies"). So no strided convolution is handed to it: the same sums are written as a convolution of stride 1.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TimeConv2d(nn.Conv2d):
    """`nn.Conv2d` of a (K, 1) kernel, K odd, padded by K // 2 in time, with a stride in time only.

    Args:
        inputs, outputs: channels.
        taps: K.
        stride: in time; it divides K // 2.
    """

    def __init__(self, inputs: int, outputs: int, taps: int = 1, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (taps, 1), (stride, 1), padding=(taps // 2, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, V) to (N, outputs, ceil(T / stride), V)."""
        if x.device.type != "cpu":
            return super().forward(x)
        return convolve_time(x, self.weight, self.bias, self.stride[0])


def convolve_time(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """conv2d(x, kernel, bias, stride=(stride, 1), padding=(K // 2, 0)), computed with stride 1.

    Args:
        x: (N, C, T, V).
        kernel: (O, C, K, 1), K odd.
        bias: (O,) or None.
        stride: divides K // 2.

    Returns:
        (N, O, ceil(T / stride), V).
    """
    frames, taps = fold_frames(x, kernel.shape[2], stride), fold_taps(kernel, stride)
    return F.conv2d(frames, taps, bias, padding=(taps.shape[2] // 2, 0))


def fold_frames(x: Tensor, taps: int, stride: int) -> Tensor:
    """What a convolution of stride 1 reads in place of x.

    With one tap only every `stride`-th frame is read. With more, `stride` frames in a row become the channels of one,
    after zeros that fill the last one up.

    Args:
        x: (N, C, T, V).
        taps: K of the kernel.
        stride: in frames.

    Returns:
        (N, C, ceil(T / stride), V) if there is one tap, else (N, stride * C, ceil(T / stride), V); channels last if
        the stride is not 1.
    """
    if stride == 1:
        return x
    by_frame = x.permute(0, 2, 3, 1)
    if taps == 1:
        return by_frame[:, ::stride].contiguous().permute(0, 3, 1, 2)
    samples, frames, joints, channels = by_frame.shape
    by_frame = F.pad(by_frame, (0, 0, 0, 0, 0, -frames % stride))
    folded = by_frame.reshape(samples, -1, stride, joints, channels).transpose(2, 3)
    return folded.reshape(samples, -1, joints, stride * channels).permute(0, 3, 1, 2)


def unfold_frames(gradient: Tensor, frames: int, taps: int, stride: int) -> Tensor:
    """The transpose of `fold_frames`: the gradient of x (N, C, frames, V), channels last."""
    if stride == 1:
        return gradient
    samples, _, steps, joints = gradient.shape
    by_frame = gradient.permute(0, 2, 3, 1)
    if taps == 1:
        unfolded = by_frame.new_zeros(samples, frames, joints, by_frame.shape[-1])
        unfolded[:, ::stride] = by_frame
    else:
        parts = by_frame.reshape(samples, steps, joints, stride, -1).transpose(2, 3)
        unfolded = parts.reshape(samples, steps * stride, joints, -1)[:, :frames].contiguous()
    return unfolded.permute(0, 3, 1, 2)


def fold_taps(kernel: Tensor, stride: int) -> Tensor:
    """The kernel for `fold_frames`: (O, C, K, 1) to (O, stride * C, K', 1), K' odd, of stride 1.

    Tap k = stride * q + p reads frame p of step q; taps that are missing are 0.

    Raises:
        ValueError: the stride does not divide K // 2, so the middle tap would not read the first frame of its step.
    """
    outputs, inputs, taps, _ = kernel.shape
    if stride == 1 or taps == 1:
        return kernel
    if taps // 2 % stride:
        raise ValueError(f"a kernel of {taps} taps cannot be folded by a stride of {stride}")
    steps = 2 * (taps // 2 // stride) + 1
    filled = F.pad(kernel[..., 0], (0, steps * stride - taps)).view(outputs, inputs, steps, stride)
    return filled.permute(0, 3, 1, 2).reshape(outputs, stride * inputs, steps, 1)


def unfold_taps(gradient: Tensor, taps: int, stride: int) -> Tensor:
    """The transpose of `fold_taps`: the gradient of a kernel (O, C, taps, 1)."""
    if stride == 1 or taps == 1:
        return gradient
    outputs, _, steps, _ = gradient.shape
    parts = gradient.view(outputs, stride, -1, steps).permute(0, 2, 3, 1)
    return parts.reshape(outputs, -1, steps * stride)[..., :taps, None].contiguous()
