"""Convolution along time by Fourier transforms of the frames, where the layer is wide.

A convolution of T frames by K taps multiplies two matrices for each of T K pairs of a frame and a tap. The transform of
L = T + K // 2 frames turns it into one product for each real frequency, and three for each complex one (Gauss: of the
real parts, of the imaginary parts, and of their sums). At T = 13 and K = 9 that is 25 products instead of 117. The
transforms are small matrices along time.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

WIDE = 128
"""Channels from which on the transforms cost less than they save."""

Float32 = NDArray[np.float32]


def temporal_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`ikem.encoders.strided.temporal_convolution`."""
    outputs, inputs, taps, _ = weight.shape
    samples, _, frames, joints = x.shape
    if taps == 1 or min(inputs, outputs) < WIDE:
        return F.conv2d(x, weight, bias, padding=(taps // 2, 0))
    of_frames, of_taps, back = (torch.from_numpy(matrix) for matrix in transforms(frames, taps))
    transformed = (of_frames @ x.permute(2, 1, 0, 3).reshape(frames, -1)).view(-1, inputs, samples * joints)
    weights = (of_taps @ weight.view(-1, taps).t()).view(-1, outputs, inputs)
    y = back @ weights.bmm(transformed).view(len(weights), -1)
    y = y.view(frames, outputs, samples, joints).permute(2, 1, 0, 3).contiguous()
    return y.add_(bias.view(-1, 1, 1))


@functools.cache
def transforms(frames: int, taps: int) -> tuple[Float32, Float32, Float32]:
    """Matrices A (P, frames), B (P, taps), C (frames, P) such that C ((B w) * (A x)) = the convolution of x by w.

    That is y[t] = the sum over k of w[k + taps // 2] x[t + k], where x is zero outside: at the length L no frame wraps
    around onto another.
    """
    length = frames + taps // 2
    time, tap = np.arange(frames), np.arange(taps) - taps // 2
    of_frames, of_taps, back = [], [], []
    for frequency in range(length // 2 + 1):
        step = 2 * np.pi * frequency / length
        real, imaginary = np.cos(step * time), -np.sin(step * time)  # of exp(-i step t)
        tap_real, tap_imaginary = np.cos(step * tap), np.sin(step * tap)  # of exp(i step k): taps look ahead
        if 2 * frequency % length == 0:
            of_frames.append(real)
            of_taps.append(tap_real)
            back.append(real / length)
        else:
            of_frames += [real, imaginary, real + imaginary]
            of_taps += [tap_real, tap_imaginary, tap_real + tap_imaginary]
            # The product's real part is p0 - p1, its imaginary part p2 - p0 - p1; its conjugate frequency doubles both.
            back += [2 / length * part for part in (real - imaginary, -real - imaginary, imaginary)]
    stacked = np.stack(of_frames), np.stack(of_taps), np.stack(back, axis=1)
    first, second, third = (np.ascontiguousarray(matrix, dtype=np.float32) for matrix in stacked)
    return first, second, third
