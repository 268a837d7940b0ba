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
def enqueue(queue: Tensor, pointer: Tensor, keys: Tensor) -> Tensor:
    """Write `keys` over the oldest columns of `queue`, in place, and from its first column on when the end is reached.

    Where they are written is computed on the device: nothing is read from it.

    Args:
        queue: (..., D, K).
        pointer: () int64, column of the oldest key, where writing starts; 0 .. K - 1.
        keys: (..., B, D), any B; of more than K, the last K are kept.

    Returns:
        the pointer after the keys.
    """
    size, count = queue.shape[-1], keys.shape[-2]
    kept = min(count, size)
    columns = (pointer + torch.arange(count - kept, count, device=queue.device)) % size
    queue.index_copy_(-1, columns, keys[..., count - kept :, :].to(queue.dtype).transpose(-1, -2))
    return (pointer + count) % size


class Queues(nn.Module):
    """Queues that are filled together: a buffer each by name, and all of them as one tensor `stacked` (A, D, K).

    The buffers are views of the stack, so what is written to one is in the other. Its state is the queues by their
    names, `pointer`, and `clips` if the clips of the keys are kept. They start as random unit columns.

    Args:
        names: A names.
        feature_dim: D.
        size: K.
        seeds: one for each name.
        with_clips: whether to keep the number of each key's clip, (K,) int64; -1 at the start.
    """

    pointer: Tensor
    clips: Tensor

    def __init__(
        self, names: Sequence[str], feature_dim: int, size: int, seeds: Sequence[int], with_clips: bool = False
    ) -> None:
        super().__init__()
        queues = {}
        for name, seed in zip(names, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            queues[name] = F.normalize(torch.randn(feature_dim, size, generator=generator), dim=0)
        self._link(queues)
        self.register_buffer("pointer", torch.tensor(0))
        if with_clips:
            self.register_buffer("clips", torch.full((size,), -1))
        self._pending: Tensor | None = None
        self._pending_clips: Tensor | None = None

    def enqueue(self, keys: Tensor, clips: Tensor | None = None) -> None:
        """Keep `keys` (A, B, D), and the numbers (B,) of their clips, until `flush`.

        The backward pass still needs the queues as they are.
        """
        self.flush()
        self._pending, self._pending_clips = keys.detach(), clips

    def flush(self) -> None:
        """Write the keys that are pending. Saving the state does so, too."""
        if self._pending is not None:
            if self._pending_clips is not None:
                enqueue(self.clips[None], self.pointer, self._pending_clips[:, None])
            self.pointer.copy_(enqueue(self.stacked, self.pointer, self._pending))
            self.forget()

    def forget(self) -> None:
        """Drop the keys that are pending."""
        self._pending = self._pending_clips = None

    def _link(self, queues: Mapping[str, Tensor]) -> None:
        self.stacked = torch.stack(list(queues.values()))
        for name, queue in zip(list(queues), self.stacked, strict=True):
            self.register_buffer(name, queue)

    def _apply(self, fn: Any, recurse: bool = True) -> Queues:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._link({name: buffer for name, buffer in self.named_buffers() if name not in ("pointer", "clips")})
        return self

    def _save_to_state_dict(self, *arguments: Any) -> None:
        self.flush()
        super()._save_to_state_dict(*arguments)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *arguments: Any) -> None:
        self.forget()
        super()._load_from_state_dict(state_dict, prefix, *arguments)
