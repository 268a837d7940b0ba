"""Intervals and tests for accuracies, single or paired: thin layers over SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray


@cache  # SciPy's test takes a millisecond, and each table asks for the same ones again
def accuracy_interval(percent: float, count: int, level: float = 0.05) -> tuple[float, float]:
    """Interval of an accuracy over the clips that might have been tested, in percent.

    Wilson 1927 (doi 10.1080/01621459.1927.10502953), the score interval of a share.

    Args:
        percent: share of clips that are right; a mean over runs is rounded to a whole number of clips.
        count: clips tested.
        level: 1 - level is the coverage.
    """
    from scipy.stats import binomtest

    found = binomtest(round(percent / 100 * count), count).proportion_ci(1 - level, method="wilson")
    return 100 * float(found.low), 100 * float(found.high)


def paired_bootstrap(
    differences: NDArray[np.floating], level: float = 0.05, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of a mean difference when clips are drawn again with replacement.

    Efron 1979 (doi 10.1214/aos/1176344552). A draw is given by how many clips of each value it has. These numbers are
    multinomial, and few values occur, so nothing grows with the number of clips.

    Args:
        differences: (n,) of each clip, one result minus another; a mean over runs where there are several.
        level: 1 - level is the coverage.
        resamples: draws.
        seed: of the draws.
    """
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(differences), counts / len(differences), size=resamples)
    low, high = np.quantile(drawn @ values / len(differences), [level / 2, 1 - level / 2])
    return float(low), float(high)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact p-value of McNemar 1947 (doi 10.1007/BF02295996): two classifiers, one run each, on the same clips.

    Args:
        first, second: (n,) whether each clip is right. Clips on which they agree say nothing of a difference.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def paired_runs(first: Sequence[float], second: Sequence[float]) -> float:
    """p-value of the paired t-test over runs of equal seeds, two runs or more.

    Where every pair differs by exactly the same, the t-test has no deviation to go by; the p-value is then that of the
    exact test of signs.
    """
    from scipy.stats import ttest_rel

    differences = np.subtract(first, second)
    if np.ptp(differences) < 1e-9:
        return float(2.0 ** (1 - len(differences))) if abs(differences[0]) > 1e-9 else 1.0
    return float(ttest_rel(first, second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: Holm 1979, Scandinavian Journal of Statistics 6, 65-70."""
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in corrected]
