"""Small real matrices along time, for activations with channels last, a pass over memory each."""

from __future__ import annotations

import numba
import numpy as np

_MATH = {"contract"}  # products and sums may be one operation


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)  # type: ignore[untyped-decorator]
def spread(x, matrix, zero, others, start, stop):  # type: ignore[no-untyped-def]
    """Samples `start` to `stop` of x (N, T, V, C): frames to frequencies.

    Args:
        x: (N, T, V, C).
        matrix: (1 + 2 F, T).
        zero: (N, 1, V, C), frequency 0.
        others: (F, N, 1, V, 2 C), real and imaginary parts of the others.
    """
    _, frames, joints, width = x.shape
    work = np.empty(width, dtype=np.float32)
    for sample in range(start, stop):
        for joint in range(joints):
            for line in range(len(matrix)):
                factors = matrix[line]
                values = x[sample, 0, joint]
                for c in range(width):
                    work[c] = factors[0] * values[c]
                for frame in range(1, frames):
                    factor, values = factors[frame], x[sample, frame, joint]
                    for c in range(width):
                        work[c] += factor * values[c]
                if line == 0:
                    target = zero[sample, 0, joint]
                else:
                    first = width * ((line - 1) % 2)
                    target = others[(line - 1) // 2, sample, 0, joint, first : first + width]
                for c in range(width):
                    target[c] = work[c]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)  # type: ignore[untyped-decorator]
def gather(zero, others, matrix, bias, out, start, stop):  # type: ignore[no-untyped-def]
    """Samples `start` to `stop` of out (N, T, V, C): frequencies, as `spread` has them, to frames, plus bias (C,)."""
    _, frames, joints, width = out.shape
    work = np.empty(width, dtype=np.float32)
    for sample in range(start, stop):
        for joint in range(joints):
            for frame in range(frames):
                factors, values = matrix[frame], zero[sample, 0, joint]
                for c in range(width):
                    work[c] = bias[c] + factors[0] * values[c]
                for line in range(1, len(factors)):
                    first = width * ((line - 1) % 2)
                    factor, values = factors[line], others[(line - 1) // 2, sample, 0, joint, first : first + width]
                    for c in range(width):
                        work[c] += factor * values[c]
                target = out[sample, frame, joint]
                for c in range(width):
                    target[c] = work[c]
