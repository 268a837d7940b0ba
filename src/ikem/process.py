"""How a process computes: numeric threads, as many as the settings say, and memory that is kept between steps."""

from __future__ import annotations

import ctypes
import os
import sys

_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h


def use_threads(count: int) -> None:
    """Have the numeric libraries of this process use `count` threads; best before they are imported.

    How a sum is cut into threads shapes its last bits. Snakemake sets OMP_NUM_THREADS to what `--cores` leaves of a
    rule's threads, and MKL may take fewer than it is given: both are overruled.
    """
    for name in _COUNTS:
        os.environ[name] = str(count)
    # A thread that waits busily for the next operation keeps a core from the compiled kernels, which have their own.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["OMP_DYNAMIC"] = os.environ["MKL_DYNAMIC"] = "FALSE"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def keep_memory() -> None:
    """Have the C library keep memory that is freed for the next step, instead of asking the system for it again.

    New memory is written twice, first with zeros, a page at a time: a fifth of the time of a step on a CPU. Nothing
    happens where the library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    # Old versions refuse more than 32 MiB; and setting any of these ends the library's own adapting of the first.
    if mallopt(_MMAP_THRESHOLD, 1 << 28) or mallopt(_MMAP_THRESHOLD, 1 << 25):
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_ARENA_MAX, 1)
