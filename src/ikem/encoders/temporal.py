"""The temporal convolution on a CPU: as it stands where it is narrow, by Fourier transforms along time where not.

With many channels the products of channels cost most. A convolution of 9 taps multiplies each pair of channels 9 times
a frame; after a transform along time, once a frequency: for 13 frames, 33 products of real numbers instead of 117.
All transforms are real matrices, so that the backward pass is made of their transposes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ikem.encoders import temporal_cpu as _compiled
from ikem.encoders.strided import convolve_time, fold_frames, fold_taps, unfold_frames, unfold_taps
from ikem.kernels.dispatch import over_rows

temporal_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read

WIDE, SHORT = 128, 64
"""From how many channels, and up to how many frames, the transforms pay (measured)."""
_PIECE = 32
"""Samples that are transformed at a time: spectra are larger than what they are made of."""


def convolve(x: Tensor, kernel: Tensor, bias: Tensor, stride: int) -> Tensor:
    """conv2d of x (N, C, T, V) with kernel (O, C, K, 1), K odd, padded by K // 2, in float32 on a CPU."""
    if _transformed(x, kernel, stride):
        return _Transforms.of(x.shape, kernel.shape).forward(x, kernel, bias)
    return convolve_time(x, kernel, bias, stride)


def convolve_slopes(gradient: Tensor, x: Tensor, kernel: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, kernel and bias from that of what `convolve` gave."""
    if _transformed(x, kernel, stride):
        return _Transforms.of(x.shape, kernel.shape).backward(gradient, x, kernel)
    taps = kernel.shape[2]
    folded, folded_kernel = fold_frames(x, taps, stride), fold_taps(kernel, stride)
    location = (1, 1), (folded_kernel.shape[2] // 2, 0), (1, 1), False, (0, 0), 1, (True, True, True)
    slope, kernel_slope, bias_slope = torch.ops.aten.convolution_backward(
        gradient, folded, folded_kernel, [kernel.shape[0]], *location
    )
    return unfold_frames(slope, x.shape[2], taps, stride), unfold_taps(kernel_slope, taps, stride), bias_slope


def _transformed(x: Tensor, kernel: Tensor, stride: int) -> bool:
    return stride == 1 and kernel.shape[2] > 1 and min(kernel.shape[:2]) >= WIDE and x.shape[2] <= SHORT


class _Transforms:
    """Real Fourier transforms of T frames and K taps, of a length L at which nothing wraps around.

    A spectrum is a list of images: frequency 0, which is real, (N, C, 1, V); and F others (N, 2 C, 1, V), real parts of
    all channels and then imaginary ones. What a kernel does to each is a 1x1 convolution.

    Attributes:
        spread: (L, T), frames to frequencies.
        gather: (T, L), frequencies to frames: the inverse.
        taps: (L, K), taps to frequencies, turned so that the middle tap is at time 0.
    """

    @classmethod
    def of(cls, shape: torch.Size, kernel_shape: torch.Size) -> _Transforms:
        """For x (N, C, T, V) and a kernel (O, C, K, 1)."""
        return _transforms(shape[2], kernel_shape[2])

    def __init__(self, frames: int, taps: int) -> None:
        length = frames + taps // 2
        length += 1 - length % 2  # odd, so that all frequencies but 0 come in pairs
        self.frequencies = length // 2
        angle = 2 * np.pi / length * np.arange(1, self.frequencies + 1)

        def waves(times: NDArray[np.int64], sign: int) -> NDArray[np.float64]:
            phase = np.outer(angle, times)
            pairs = np.stack([np.cos(phase), sign * np.sin(phase)], axis=1)
            return np.concatenate([np.ones((1, len(times))), pairs.reshape(-1, len(times))])

        share = np.full(length, 2 / length)
        share[0] = 1 / length
        spread = waves(np.arange(frames), -1)
        self.spread = spread.astype(np.float32)
        self.gather = np.ascontiguousarray((share[:, None] * spread).T.astype(np.float32))
        self.taps = torch.from_numpy(waves(np.arange(taps) - taps // 2, 1).astype(np.float32))

    def forward(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """The convolution."""
        samples, _, frames, joints = x.shape
        out, kernels = x.new_empty(samples, frames, joints, len(kernel)), self._kernels(kernel)
        for some in _pieces(samples):
            made = [F.conv2d(*pair) for pair in zip(self._spectrum(x[some], self.spread), kernels, strict=True)]
            self._frames(made, self.gather, bias, out[some])
        return out.permute(0, 3, 1, 2)

    def backward(self, gradient: Tensor, x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The transposes of all steps, in reverse."""
        samples, inputs, frames, joints = x.shape
        out, kernels = x.new_empty(samples, frames, joints, inputs), self._kernels(kernel)
        sums = [torch.zeros_like(each) for each in kernels]
        bias_slope, nothing = x.new_zeros(len(kernel)), x.new_zeros(inputs)
        to, back = (np.ascontiguousarray(matrix.T) for matrix in (self.gather, self.spread))
        for some in _pieces(samples):
            given = self._spectrum(gradient[some], to)
            bias_slope += given[0].sum(dim=(0, 2, 3))
            made = _slopes(given, self._spectrum(x[some], self.spread), kernels, sums)
            del given
            self._frames(made, back, nothing, out[some])
            del made
        slopes = [sums[0].view(1, -1, inputs)]
        for total in sums[1:]:
            square = total.view(2, -1, 2, inputs)
            slopes.append(torch.stack([square[0, :, 0] + square[1, :, 1], square[1, :, 0] - square[0, :, 1]]))
        along = torch.cat(slopes).view(len(self.taps), -1)
        kernel_slope = (self.taps.t() @ along).view(-1, len(kernel), inputs).permute(1, 2, 0)[..., None].contiguous()
        return out.permute(0, 3, 1, 2), kernel_slope, bias_slope * (2 * self.frequencies + 1)

    def _kernels(self, kernel: Tensor) -> list[Tensor]:
        """(O, C, 1, 1) of frequency 0; (2 O, 2 C, 1, 1) of the others, for real and imaginary parts at once."""
        outputs, inputs, taps, _ = kernel.shape
        along = (self.taps @ kernel.permute(2, 0, 1, 3).reshape(taps, -1)).view(-1, outputs, inputs)
        pairs = kernel.new_empty(self.frequencies, 2, outputs, 2, inputs)
        real, imaginary = along[1::2], along[2::2]
        pairs[:, 0, :, 0], pairs[:, 1, :, 1] = real, real
        pairs[:, 1, :, 0] = imaginary
        torch.neg(imaginary, out=pairs[:, 0, :, 1])
        return [along[0, ..., None, None], *pairs.view(self.frequencies, 2 * outputs, 2 * inputs, 1, 1)]

    def _spectrum(self, x: Tensor, matrix: NDArray[np.float32]) -> list[Tensor]:
        samples, channels, _, joints = x.shape
        zero = x.new_empty(samples, 1, joints, channels)
        others = x.new_empty(self.frequencies, samples, 1, joints, 2 * channels)
        arrays = (x.permute(0, 2, 3, 1).contiguous().numpy(), matrix, zero.numpy(), others.numpy())
        over_rows(lambda start, stop: temporal_cpu.spread(*arrays, start, stop), samples)
        return [part.permute(0, 3, 1, 2) for part in (zero, *others)]

    def _frames(self, made: list[Tensor], matrix: NDArray[np.float32], bias: Tensor, out: Tensor) -> None:
        """Spectra to frames, written to `out` (N, T, V, C)."""
        zero, *others = (part.permute(0, 2, 3, 1).contiguous() for part in made)
        arrays = (zero.numpy(), torch.stack(others).numpy(), matrix, bias.numpy(), out.numpy())
        over_rows(lambda start, stop: temporal_cpu.gather(*arrays, start, stop), len(out))


def _slopes(given: list[Tensor], seen: list[Tensor], kernels: list[Tensor], sums: list[Tensor]) -> list[Tensor]:
    """Gradients of the spectra that were `seen`; those of the kernels are added to `sums`."""
    location = (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (True, True, False)
    slopes = []
    for *parts, total in zip(given, seen, kernels, sums, strict=True):
        slope, kernel_slope, _ = torch.ops.aten.convolution_backward(*parts, None, *location)
        total += kernel_slope
        slopes.append(slope)
    return slopes


def _pieces(samples: int) -> list[slice]:
    """What is transformed at a time."""
    return [slice(start, start + _PIECE) for start in range(0, samples, _PIECE)]


@functools.lru_cache(maxsize=8)
def _transforms(frames: int, taps: int) -> _Transforms:
    return _Transforms(frames, taps)
