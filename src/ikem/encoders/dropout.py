"""Dropout whose mask is a function of a seed and of the index of each value: no generator, and no state."""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.kernels.dispatch import replaceable

_STEP, _MULTIPLIER1, _MULTIPLIER2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 1 << 64

Seed = int | Tensor
"""A number of the host below 2^63, or () int64 on the device: code that is compiled or captured once has no others."""


def dropout(x: Tensor, seed: Seed, probability: float) -> Tensor:
    """Set values to 0 with a probability, and divide the others by the probability of keeping them.

    Srivastava et al. 2014 (JMLR 15). The mask is the same on every device: 16 bits for each value, four from each
    output of the generator SplitMix64 (Steele et al. 2014, doi 10.1145/2660193.2660195), which is a function of a seed
    and a counter. Nothing is read from a device.

    Args:
        x: any shape; values are counted in its index order, whatever its layout in memory.
        seed: a different one for each call whose mask should differ.
        probability: of dropping a value, 0 to 1 (exclusive); rounded to 1/65536.

    Returns:
        like x.
    """
    threshold = min(round(probability * 65536), 65535)
    if isinstance(seed, Tensor):  # what has a number of the host has no kernel
        return masked.__wrapped__(x, _output(seed + _signed(_STEP)), threshold)  # type: ignore[attr-defined, no-any-return]
    return masked(x, _mixed(seed), threshold)


@replaceable("dropout")
def masked(x: Tensor, start: Seed, threshold: int) -> Tensor:
    """Set values to 0 whose bits, of `random_bits`, are below a threshold of 65536, and scale the others."""
    keep = random_bits(x.numel(), start, x.device).view(x.shape) >= threshold - 32768
    return x * keep.to(x.dtype).mul_(65536 / (65536 - threshold))


def random_bits(count: int, start: Seed, device: torch.device) -> Tensor:
    """(count,) int16, uniformly distributed from -32768: outputs of SplitMix64 from a start on, cut in four."""
    state = torch.arange(1, 1 + -(-count // 4), device=device)
    state.mul_(_signed(_STEP)).add_(_signed(start))
    return _output(state).view(torch.int16)[:count]


def random_words(seeds: Tensor, count: int) -> Tensor:
    """Random numbers for each of many seeds, with the same generator.

    Args:
        seeds: (N,) int64, on any device.
        count: of numbers for each.

    Returns:
        (N, count) int64, uniformly distributed: outputs of SplitMix64 that starts at a mix of a row's seed.
    """
    counters = torch.arange(1, count + 1, device=seeds.device).mul_(_signed(_STEP))
    return _output(counters + _output(seeds + _signed(_STEP)).unsqueeze(1))


def _output(state: Tensor) -> Tensor:
    """The outputs of SplitMix64 at these states, which are overwritten."""
    state ^= (state >> 30) & (1 << 34) - 1  # the sign is shifted in, and masked away
    state *= _signed(_MULTIPLIER1)
    state ^= (state >> 27) & (1 << 37) - 1
    state *= _signed(_MULTIPLIER2)
    state ^= (state >> 31) & (1 << 33) - 1
    return state


def _mixed(word: int) -> int:
    """One output of SplitMix64: seeds that differ by little start far from each other."""
    word = (word + _STEP) % _WORD
    word = (word ^ word >> 30) * _MULTIPLIER1 % _WORD
    word = (word ^ word >> 27) * _MULTIPLIER2 % _WORD
    return word ^ word >> 31


def _signed(word: Seed) -> Seed:
    """The same 64 bits as a signed number, as PyTorch takes them."""
    return word if isinstance(word, Tensor) or word < _WORD // 2 else word - _WORD
