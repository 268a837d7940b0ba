"""Normalisation, ReLU, dropout and residual of channels-last float32 activations, a pass over memory each.

Activations are (R, W): a row is a frame of a body, and holds joints times channels, so that loops are long and run on
vectors; what belongs to a channel is repeated for each joint. Sums are taken slab by slab, in a fixed number of slabs,
so they do not depend on the number of threads. Which values are dropped is a function of their place, computed where it
is needed and never stored.
"""

from __future__ import annotations

import numba
import numpy as np

SLABS = 8
_ROWS = 32  # rows that are summed in float32 before float64 takes over
_ZERO, _ONE = np.float32(0), np.float32(1)
_FIRST, _SECOND = np.uint32(0x21F0AAAD), np.uint32(0xD35A2D97)
_15, _16 = np.uint32(15), np.uint32(16)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _scrambled(x):  # type: ignore[no-untyped-def]
    """A permutation of 32 bits in which each bit of the result depends on all of `x` (Wellons' hash prospector)."""
    x = np.uint32(np.uint32(x ^ (x >> _16)) * _FIRST)
    x = np.uint32(np.uint32(x ^ (x >> _15)) * _SECOND)
    return np.uint32(x ^ (x >> _15))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _drop(work, row, first_key, second_key, least, factor):  # type: ignore[no-untyped-def]
    """Values of a row that are kept are multiplied with `factor`, the others become 0."""
    start = np.uint32(row * len(work))
    for j in range(len(work)):
        place = np.uint32(start + np.uint32(j))
        drawn = _scrambled(np.uint32(_scrambled(np.uint32(place ^ first_key)) + second_key))
        work[j] = work[j] * factor if drawn >= least else _ZERO


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drop(values, first_key, second_key, least, factor, start, stop):  # type: ignore[no-untyped-def]
    """Rows `start` to `stop` of `values` (R, W), in place: dropout by itself."""
    for row in range(start, stop):
        _drop(values[row], row, first_key, second_key, least, factor)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def moments(x, first_sum, second_sum, start, stop):  # type: ignore[no-untyped-def]
    """For slabs `start` to `stop` of the sums (SLABS, W): sums over rows of x - x[0] and of its square.

    Taking off the first row keeps the squares small where the mean is not.
    """
    rows, width = x.shape
    one, two = np.zeros(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    origin = x[0].copy()
    for slab in range(start, stop):
        first_sum[slab] = 0
        second_sum[slab] = 0
        last = rows * (slab + 1) // SLABS
        for first in range(rows * slab // SLABS, last, _ROWS):
            one[:] = 0
            two[:] = 0
            for row in range(first, min(first + _ROWS, last)):
                values = x[row]
                for j in range(width):
                    value = values[j] - origin[j]
                    one[j] += value
                    two[j] += value * value
            first_sum[slab] += one
            second_sum[slab] += two


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def finish(x, scale, shift, first_key, second_key, least, factor, residual, out, start, stop):  # type: ignore[no-untyped-def]
    """Rows `start` to `stop`: out = relu(dropout(x scale + shift) + residual).

    Nothing is dropped where `factor` is 1. `residual` has no rows where there is none.
    """
    width = x.shape[1]
    work = np.empty(width, dtype=np.float32)
    for row in range(start, stop):
        values, target = x[row], out[row]
        for j in range(width):
            work[j] = values[j] * scale[j] + shift[j]
        if factor > _ONE:
            _drop(work, row, first_key, second_key, least, factor)
        if len(residual):
            more = residual[row]
            for j in range(width):
                work[j] += more[j]
        for j in range(width):
            target[j] = _ZERO if work[j] <= _ZERO else work[j]  # lets NaN through


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def slope_sums(  # type: ignore[no-untyped-def]
    gradient, out, x, inverse, offset, first_key, second_key, least, factor, kept, first_sum, second_sum, start, stop
):
    """For slabs: sums of d and of d times the normalised x, d the gradient before ReLU, residual and dropout.

    The gradient before ReLU, which is that of a residual, is written to `kept`.
    """
    rows, width = x.shape
    work = np.empty(width, dtype=np.float32)
    one, two = np.zeros(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    for slab in range(start, stop):
        first_sum[slab] = 0
        second_sum[slab] = 0
        last = rows * (slab + 1) // SLABS
        for first in range(rows * slab // SLABS, last, _ROWS):
            one[:] = 0
            two[:] = 0
            for row in range(first, min(first + _ROWS, last)):
                given, reached, values, target = gradient[row], out[row], x[row], kept[row]
                for j in range(width):
                    value = _ZERO if reached[j] <= _ZERO else given[j]
                    target[j] = value
                    work[j] = value
                if factor > _ONE:
                    _drop(work, row, first_key, second_key, least, factor)
                for j in range(width):
                    one[j] += work[j]
                    two[j] += work[j] * (values[j] * inverse[j] + offset[j])
            first_sum[slab] += one
            second_sum[slab] += two


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def slopes(kept, x, first_key, second_key, least, factor, a, b, c, target, total, start, stop):  # type: ignore[no-untyped-def]
    """For slabs: target = a d + b + c x, d as in `slope_sums`; `total` (SLABS, W) is its sum.

    `target` may be `kept`.
    """
    rows, width = x.shape
    work, part = np.empty(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    for slab in range(start, stop):
        last = rows * (slab + 1) // SLABS
        total[slab] = 0
        for first in range(rows * slab // SLABS, last, _ROWS):
            part[:] = 0
            for row in range(first, min(first + _ROWS, last)):
                given, values, slope = kept[row], x[row], target[row]
                for j in range(width):
                    work[j] = given[j]
                if factor > _ONE:
                    _drop(work, row, first_key, second_key, least, factor)
                for j in range(width):
                    work[j] = a[j] * work[j] + b[j] + c[j] * values[j]
                for j in range(width):
                    slope[j] = work[j]
                for j in range(width):
                    part[j] += work[j]
            total[slab] += part
