"""Dropout in one pass: mask and product are made together, and again in the backward pass, so no mask is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ikem.compiling import compiled


def dropout(x: Tensor, start: int, threshold: int) -> Tensor:
    """`ikem.encoders.dropout.masked`, bit for bit."""
    dropped: Tensor = _Dropout.apply(x, start, threshold)  # type: ignore[no-untyped-call]
    return dropped


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, start: int, threshold: int) -> Tensor:
        ctx.start, ctx.threshold = start, threshold
        return _masked(x, start, threshold)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _masked(gradient, ctx.start, ctx.threshold), None, None


def _masked(x: Tensor, start: int, threshold: int) -> Tensor:
    x = x.detach().contiguous()
    y = torch.empty_like(x)
    scale = np.float32(65536 / (65536 - threshold))
    _fill(x.view(-1).numpy(), y.view(-1).numpy(), np.uint64(start), np.int16(threshold - 32768), scale)
    return y


_BLOCK = 1024


@compiled(nogil=True)
def _fill(x, y, start, threshold, scale):  # type: ignore[no-untyped-def]
    """Each output of SplitMix64 decides on four values; see `ikem.encoders.dropout.random_bits`."""
    words = np.empty(_BLOCK // 4, dtype=np.uint64)
    bits = words.view(np.int16)
    zero = np.float32(0)
    for first in range(0, len(x), _BLOCK):
        for number in range(_BLOCK // 4):
            word = start + np.uint64(first // 4 + number + 1) * np.uint64(0x9E3779B97F4A7C15)
            word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            words[number] = word ^ (word >> np.uint64(31))
        values, results = x[first : first + _BLOCK], y[first : first + _BLOCK]
        if len(values) == _BLOCK:  # a loop of known length is compiled to vector instructions
            for index in range(_BLOCK):
                results[index] = values[index] * (scale if bits[index] >= threshold else zero)
        else:
            for index in range(len(values)):
                results[index] = values[index] * (scale if bits[index] >= threshold else zero)
