"""Loops over each entry of a queue, compiled for float32: see the functions of these names in `ikem.kernels.softmax`.

A row is computed as a whole, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

from ikem.compiling import compiled

_ONE, _HALF = np.float32(1), np.float32(0.5)
# exp(f) of |f| <= ln(2) / 2 as 1 + f + f^2 (...), and ln(2) in two parts (Cephes' expf).
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_C0, _C1, _C2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C3, _C4, _C5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for -87 <= x <= 87, without a branch, so that loops around it can be vectorized."""
    power = np.floor(x * _LOG2E + _HALF)
    f = x - power * _LN2_HIGH - power * _LN2_LOW
    series = ((((_C0 * f + _C1) * f + _C2) * f + _C3) * f + _C4) * f + _C5
    bits = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    return (series * (f * f) + f + _ONE) * bits.view(np.float32)


# Sums may be taken in any order (the order is fixed once compiled), products and sums be one operation.
_MATH = {"reassoc", "contract", "nsz"}


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def softmax_weights(similar, inverse, scale, out, total, start, stop):  # type: ignore[no-untyped-def]
    """Rows `start` to `stop`: adds e = exp((similar inverse - 1) scale) to `total`; out = e inverse."""
    for row in range(start, stop):
        source, target, row_sum = similar[row], out[row], np.float32(0)
        for j in range(len(source)):
            value = _exp((source[j] * inverse[j] - _ONE) * scale)
            row_sum += value
            target[j] = value * inverse[j]
        total[row] += row_sum


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def pair_sums(similar, pairs, scale, sums, sums_of_pairs, start, stop):  # type: ignore[no-untyped-def]
    """Samples `start` to `stop` of `sums` (count, B) and `sums_of_pairs` (pairs, B)."""
    for sample in range(start, stop):
        for a in range(len(sums)):
            row, total = similar[a, sample], np.float32(0)
            for j in range(len(row)):
                total += _exp((row[j] - _ONE) * scale)
            sums[a, sample] = total
        for pair in range(len(pairs)):
            row, other, total = similar[pairs[pair, 0], sample], similar[pairs[pair, 1], sample], np.float32(0)
            for j in range(len(row)):
                total += _exp((row[j] * other[j] - _ONE) * scale)
            sums_of_pairs[pair, sample] = total


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def pair_gradients(  # type: ignore[no-untyped-def]
    similar, pairs, scale, weights, weights_of_pairs, out, start, stop
):
    """Samples `start` to `stop` of `out` (count, B, K)."""
    count, columns = len(out), similar.shape[2]
    for sample in range(start, stop):
        for first in range(0, columns, 2048):
            last = min(first + 2048, columns)
            for a in range(count):
                row, gradient, weight = similar[a, sample, first:last], out[a, sample, first:last], weights[a, sample]
                for j in range(last - first):
                    gradient[j] = weight * _exp((row[j] - _ONE) * scale)
            for pair in range(len(pairs)):
                a, b, weight = pairs[pair, 0], pairs[pair, 1], weights_of_pairs[pair, sample]
                row, other, gradient = (
                    similar[a, sample, first:last],
                    similar[b, sample, first:last],
                    out[a, sample, first:last],
                )
                if b < count:
                    gradient_of_other = out[b, sample, first:last]
                    for j in range(last - first):
                        value = weight * _exp((row[j] * other[j] - _ONE) * scale)
                        gradient[j] += value * other[j]
                        gradient_of_other[j] += value * row[j]
                else:
                    for j in range(last - first):
                        gradient[j] += weight * _exp((row[j] * other[j] - _ONE) * scale) * other[j]


@compiled(nogil=True, error_model="numpy", fastmath=_MATH)
def transpose(source, offset, target, squares, start, stop):  # type: ignore[no-untyped-def]
    """Columns of `source` (D, K) from `offset` on as rows `start` to `stop` of `target` (k, D), block by block.

    The sum of squares of each goes to `squares` (k,), if that has entries.
    """
    depth = source.shape[0]
    whole = depth - depth % 16
    for first in range(start, stop, 128):
        last = min(first + 128, stop)
        for top in range(0, whole, 16):
            for j in range(first, last):
                row = target[j, top : top + 16]
                for d in range(16):  # a whole line of the cache, in a loop of known length
                    row[d] = source[top + d, offset + j]
        for d in range(whole, depth):
            for j in range(first, last):
                target[j, d] = source[d, offset + j]
        if len(squares):
            for j in range(first, last):
                row, total = target[j], np.float32(0)
                for d in range(depth):
                    total += row[d] * row[d]
                squares[j] = total
