"""How near a computed array must come to the expected one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Limit = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _largest(expected: NDArray[np.float64]) -> float:
    return float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))


def general(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """1e-4 of each value, and 1e-5 of the largest or of 1."""
    return 1e-4 * np.abs(expected) + 1e-5 * max(1.0, _largest(expected))


def equal(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """No difference."""
    return np.zeros_like(expected)


def prepared(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For prepared positions: 1e-3 of each value, and 1e-4."""
    return 1e-3 * np.abs(expected) + 1e-4


def step_losses(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For the losses of the trajectory (steps, modalities): 1e-3 in steps 1 to 3, 2e-3 from then on."""
    share = np.where(np.arange(len(expected)) < 3, 1e-3, 2e-3)
    return np.abs(expected) * share.reshape(-1, *[1] * (expected.ndim - 1))


def final_queue(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For the queues after the trajectory: 1e-3."""
    return np.full_like(expected, 1e-3)


def final_head(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For the heads after the trajectory: 2e-5 of the largest value."""
    return np.full_like(expected, 2e-5 * _largest(expected))


def running(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For running statistics: 1e-4 of each value, and 1e-6 of the largest, below which means of zeros differ."""
    return 1e-4 * np.abs(expected) + 1e-6 * _largest(expected)


def gross_weight(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For weights near 1 that rounding moves by per cents: a tenth of the largest, so that only a fault is seen."""
    return np.full_like(expected, 0.1 * _largest(expected))


def gross_bias(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """For biases near 0 of the same layers: half of the largest."""
    return np.full_like(expected, 0.5 * _largest(expected))


@dataclass(frozen=True)
class Verdict:
    """What came of one array.

    Attributes:
        error: the difference where it is largest in proportion to what is allowed; NaN if there is none to give.
        limit: what is allowed there.
        passed: whether all differences are within their limits.
        note: why not, where it is not a matter of size.
    """

    error: float
    limit: float
    passed: bool
    note: str = ""


def compare(computed: Array, expected: Array, limit: Limit) -> Verdict:
    """Compare two arrays element by element. NaN is expected exactly where NaN is computed."""
    if computed.shape != expected.shape:
        return Verdict(np.nan, np.nan, False, f"shape {expected.shape}, computed {computed.shape}")
    if expected.dtype.kind in "US" or computed.dtype.kind in "US":
        same = expected.dtype.kind == computed.dtype.kind and bool((computed == expected).all())
        return Verdict(0.0 if same else np.nan, 0.0, same, "" if same else "other names")
    if expected.dtype.kind not in "biuf":
        return Verdict(np.nan, np.nan, False, f"type {expected.dtype}")
    ours, theirs = computed.astype(np.float64), expected.astype(np.float64)
    blank = np.isnan(ours)
    if not np.array_equal(blank, np.isnan(theirs)) or np.isinf(theirs).any() or np.isinf(ours).any():
        return Verdict(np.nan, np.nan, False, "not finite where it should be, or the other way round")
    if blank.all() and blank.size:
        return Verdict(np.nan, np.nan, False, "nothing but NaN")
    allowed = limit(np.where(blank, 0.0, theirs)).ravel()
    error = np.where(blank, 0.0, np.abs(ours - theirs)).ravel()
    if error.size == 0:
        return Verdict(np.nan, np.nan, False, "empty")
    worst = int(np.argmax(error - allowed if (allowed == 0).any() else error / allowed))
    return Verdict(float(error[worst]), float(allowed[worst]), bool((error <= allowed).all()))
