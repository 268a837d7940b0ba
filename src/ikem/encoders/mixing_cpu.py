"""Products with a graph's few entries, for activations with channels last.

Slices are taken before each inner loop, which lets it run on vectors without looking whether arrays overlap.
"""

from __future__ import annotations

import numba
import numpy as np

SLABS = 8
_ROWS = 32  # rows that are summed in float32 before float64 takes over
_ZERO = np.float32(0)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def combine(x, weight, source, target, fresh, bare, out, start, stop):  # type: ignore[no-untyped-def]
    """Rows `start` to `stop`: out[:, target] = sum of weight x[:, source] over all entries with that target.

    Args:
        x: (R, places, C).
        weight, source, target: (E,) the entries, those of one target next to each other.
        fresh: (E,) whether the entry is the first of its target.
        bare: the places without an entry; they become 0.
        out: (R, other places, C).
    """
    width = x.shape[2]
    for row in range(start, stop):
        for place in bare:
            out[row, place] = _ZERO
        for entry in range(len(weight)):
            factor, values, result = weight[entry], x[row, source[entry]], out[row, target[entry]]
            if fresh[entry]:
                for c in range(width):
                    result[c] = factor * values[c]
            else:
                for c in range(width):
                    result[c] += factor * values[c]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def entry_products(x, gradient, source, target, out, start, stop):  # type: ignore[no-untyped-def]
    """For slabs of `out` (SLABS, E): sum over rows and channels of x[:, source] gradient[:, target]."""
    rows, _, width = x.shape
    part = np.zeros((len(source), width), dtype=x.dtype)
    for slab in range(start, stop):
        out[slab] = 0
        last = rows * (slab + 1) // SLABS
        for first in range(rows * slab // SLABS, last, _ROWS):
            part[:] = 0
            for row in range(first, min(first + _ROWS, last)):
                for entry in range(len(source)):
                    values, slopes, total = x[row, source[entry]], gradient[row, target[entry]], part[entry]
                    for c in range(width):
                        total[c] += values[c] * slopes[c]
            for entry in range(len(source)):
                for c in range(width):
                    out[slab, entry] += part[entry, c]
