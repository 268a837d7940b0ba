"""The queue of keys: a ring of columns."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def enqueue(queue: Tensor, pointer: int, keys: Tensor) -> int:
    """Write `keys` over the oldest columns of `queue`, in place, going round at its end.

    Args:
        queue: (..., D, K).
        pointer: column of the oldest key, where writing starts; 0 .. K - 1.
        keys: (..., B, D), any B; of more than K, the last K stay.

    Returns:
        the pointer after the keys.
    """
    size, count = queue.shape[-1], keys.shape[-2]
    end = (pointer + count) % size
    if count > size:
        keys, pointer, count = keys[..., -size:, :], end, size
    columns = keys.to(queue.dtype).transpose(-1, -2)
    before_end = min(count, size - pointer)
    queue[..., pointer : pointer + before_end] = columns[..., :before_end]
    queue[..., : count - before_end] = columns[..., before_end:]
    return end
