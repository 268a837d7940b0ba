"""The queue of keys: a ring of columns, in which a batch of keys replaces the oldest.

He et al. 2020 (MoCo, arXiv 1911.05722, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def enqueue(queue: Tensor, pointer: int, keys: Tensor) -> int:
    """Write `keys` over the oldest columns of `queue`, in place, and from its first column on when the end is reached.

    Args:
        queue: (..., D, K).
        pointer: column of the oldest key, where writing starts; 0 .. K - 1.
        keys: (..., B, D), any B; of more than K, the last K are kept.

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


class Queues(nn.Module):
    """Queues that are filled together: a buffer each by name, and all of them as one tensor `stacked` (A, D, K).

    The buffers are views of the stack, so what is written to one is in the other. Its state is the queues by their
    names, and `pointer`. They start as random unit columns.

    Args:
        names: A names.
        feature_dim: D.
        size: K.
        seeds: one for each name.
    """

    pointer: Tensor

    def __init__(self, names: Sequence[str], feature_dim: int, size: int, seeds: Sequence[int]) -> None:
        super().__init__()
        queues = {}
        for name, seed in zip(names, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            queues[name] = F.normalize(torch.randn(feature_dim, size, generator=generator), dim=0)
        self._link(queues)
        self.register_buffer("pointer", torch.tensor(0))
        self._column = 0  # the same number; reading it does not wait for a device
        self._pending: Tensor | None = None

    def enqueue(self, keys: Tensor) -> None:
        """Keep `keys` (A, B, D) until `flush`: the backward pass still needs the queues as they are."""
        self.flush()
        self._pending = keys.detach()

    def flush(self) -> None:
        """Write the keys that are pending. Saving the state does so, too."""
        if self._pending is not None:
            self._column = enqueue(self.stacked, self._column, self._pending)
            self.pointer.fill_(self._column)
            self._pending = None

    def _link(self, queues: Mapping[str, Tensor]) -> None:
        self.stacked = torch.stack(list(queues.values()))
        for name, queue in zip(list(queues), self.stacked, strict=True):
            self.register_buffer(name, queue)

    def _apply(self, fn: Any, recurse: bool = True) -> Queues:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._link({name: buffer for name, buffer in self.named_buffers() if name != "pointer"})
        return self

    def _save_to_state_dict(self, *arguments: Any) -> None:
        self.flush()
        super()._save_to_state_dict(*arguments)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *arguments: Any) -> None:
        self._pending = None
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        if f"{prefix}pointer" in state_dict:  # that of the state, which is on the CPU
            self._column = int(state_dict[f"{prefix}pointer"])
