"""Compiled kernels: when they are used, and on how many threads; and a fast product."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

_enabled = True

# oneDNN's product uses all of the vector unit where the default library may use half of it.
_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]


def compiled(*tensors: Tensor | None) -> bool:
    """Whether compiled kernels are to work on these tensors: float32 on a CPU, and no autocast to change that."""
    return (
        _enabled
        and all(x is None or (x.device.type == "cpu" and x.dtype == torch.float32) for x in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


@contextmanager
def plain() -> Iterator[None]:
    """Within it, all is computed by PyTorch's own operations: slower, and what the kernels are tested against."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def over_rows(kernel: Callable[[int, int], None], rows: int) -> None:
    """Call `kernel(start, stop)` for parts of range(rows), at once; the kernel lets go of the interpreter's lock.

    Each row must be its own: then results do not depend on the number of threads.
    """
    threads = min(torch.get_num_threads(), rows)
    if threads <= 1:
        kernel(0, rows)
        return
    cuts = [rows * part // threads for part in range(threads + 1)]
    first, *others = pairwise(cuts)
    waiting = [_pool().submit(kernel, *cut) for cut in others]
    kernel(*first)
    for part in waiting:
        part.result()


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """One for the whole process; it starts as many threads as are ever busy at once."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ikem-rows")


def fast_product() -> bool:
    """Whether `times_transposed` has a faster product than PyTorch's own."""
    return _LINEAR is not None


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """left (R, K) times the transpose of right (C, K): (R, C)."""
    if _LINEAR is None or not compiled(left, right):
        return left @ right.t()
    product: Tensor = _LINEAR(left.contiguous(), right.contiguous(), None, "none", [], "")
    return product
