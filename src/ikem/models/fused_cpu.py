"""Normalisation, ReLU, dropout and residual of channels-last float32 activations, a pass over memory each.

Activations are (R, W): a row is a frame of a body, and holds joints times channels, so that loops are long and run on
vectors; what belongs to a channel is repeated for each joint. Sums are taken slab by slab, in a fixed number of slabs,
so they do not depend on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

SLABS = 8
_ROWS = 32  # rows that are summed in float32 before float64 takes over
_ZERO = np.float32(0)


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
def finish(x, scale, shift, bits, least, factor, residual, out, start, stop):  # type: ignore[no-untyped-def]
    """Rows `start` to `stop`: out = relu(dropout(x scale + shift) + residual).

    A value is kept where its bits are `least` or more. `bits` and `residual` have no rows where there is neither.
    """
    width = x.shape[1]
    work = np.empty(width, dtype=np.float32)
    for row in range(start, stop):
        values, target = x[row], out[row]
        for j in range(width):
            work[j] = values[j] * scale[j] + shift[j]
        if len(bits):
            drawn = bits[row]
            for j in range(width):
                work[j] = work[j] * factor if drawn[j] >= least else _ZERO
        if len(residual):
            more = residual[row]
            for j in range(width):
                work[j] += more[j]
        for j in range(width):
            target[j] = _ZERO if work[j] <= _ZERO else work[j]  # lets NaN through


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def slope_sums(gradient, out, x, inverse, offset, bits, least, factor, residual, first_sum, second_sum, start, stop):  # type: ignore[no-untyped-def]
    """For slabs: sums of d and of d times the normalised x, d the gradient before ReLU, residual and dropout.

    Where there is a residual (`residual` has rows), its gradient is written to it.
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
                _before_relu(gradient[row], out[row], work)
                if len(residual):
                    residual[row] = work
                if len(bits):
                    _before_dropout(work, bits[row], least, factor)
                values = x[row]
                for j in range(width):
                    one[j] += work[j]
                    two[j] += work[j] * (values[j] * inverse[j] + offset[j])
            first_sum[slab] += one
            second_sum[slab] += two


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def slopes(gradient, out, x, bits, least, factor, a, b, c, target, total, start, stop):  # type: ignore[no-untyped-def]
    """For slabs: target = a d + b + c x, d as in `slope_sums`; its sum to `total` (SLABS, W) if that has rows."""
    rows, width = x.shape
    work, part = np.empty(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    for slab in range(start, stop):
        last = rows * (slab + 1) // SLABS
        if len(total):
            total[slab] = 0
        for first in range(rows * slab // SLABS, last, _ROWS):
            part[:] = 0
            for row in range(first, min(first + _ROWS, last)):
                _before_relu(gradient[row], out[row], work)
                if len(bits):
                    _before_dropout(work, bits[row], least, factor)
                values, slope = x[row], target[row]
                for j in range(width):
                    slope[j] = a[j] * work[j] + b[j] + c[j] * values[j]
                if len(total):
                    for j in range(width):
                        part[j] += slope[j]
            if len(total):
                total[slab] += part


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _before_relu(gradient, out, work):  # type: ignore[no-untyped-def]
    for j in range(len(work)):
        work[j] = _ZERO if out[j] <= _ZERO else gradient[j]


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _before_dropout(work, bits, least, factor):  # type: ignore[no-untyped-def]
    for j in range(len(work)):
        work[j] = work[j] * factor if bits[j] >= least else _ZERO
