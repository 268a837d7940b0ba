"""Numeric threads: as many as the settings say, never as many as the machine or the scheduler has."""

from __future__ import annotations

import os
import sys

_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def use_threads(count: int) -> None:
    """Have the numeric libraries of this process use `count` threads; best before they are imported.

    How a sum is cut into threads shapes its last bits. Snakemake sets OMP_NUM_THREADS to what `--cores` leaves of a
    rule's threads, and MKL may take fewer than it is told: both are overruled.
    """
    for name in _COUNTS:
        os.environ[name] = str(count)
    os.environ["OMP_DYNAMIC"] = os.environ["MKL_DYNAMIC"] = "FALSE"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
