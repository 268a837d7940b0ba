"""Random draws as functions of what they are for, never of what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_for(*what: int | str) -> int:
    """A seed below 2^63 for a purpose, such as (seed, "dropout", "joint", epoch, step)."""
    text = "\0".join(map(str, what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which the samples of an epoch are seen: a permutation of `count` of (seed, epoch) alone.

    The jobs of all modalities see the same order, so their queues hold the same samples at the same indices.
    """
    return np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count)


def batches(order: NDArray[np.int64], batch_size: int, drop_last: bool) -> list[NDArray[np.int64]]:
    """Cut an order into batches; the last, smaller one is left out if `drop_last`, unless it is the only one."""
    cut = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if drop_last and len(cut) > 1 and len(cut[-1]) < batch_size:
        cut.pop()
    return cut
