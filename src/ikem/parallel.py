"""Spreading the rows of a compiled kernel over as many threads as PyTorch has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import torch


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
    waiting = [_pool(threads - 1).submit(kernel, *cut) for cut in others]
    kernel(*first)
    for part in waiting:
        part.result()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ikem")
