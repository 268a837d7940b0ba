"""Intervals and tests against plain transcriptions and cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from ikem.report.statistics import accuracy_interval, holm, mcnemar, paired_bootstrap, paired_runs


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (812, 1000), (10, 10)])
def test_wilson(right: int, count: int) -> None:
    """The formula of Wilson 1927."""
    z, share = 1.959963984540054, right / count
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    expected = 100 * (center - half), 100 * (center + half)
    assert accuracy_interval(100 * share, count) == pytest.approx(expected, abs=1e-9)


def test_a_mean_over_runs_counts_as_so_many_clips() -> None:
    assert accuracy_interval(50.1, 100) == accuracy_interval(50.0, 100)


def test_mcnemar() -> None:
    """One clip that only the first has right, nine that only the second has: 2 (1 + 10) / 2^10."""
    first = np.array([True] * 20 + [True] + [False] * 9 + [False] * 5)
    second = np.array([True] * 20 + [False] + [True] * 9 + [False] * 5)
    assert mcnemar(first, second) == pytest.approx(22 / 1024)
    assert mcnemar(first, first) == 1.0


def test_paired_runs() -> None:
    """With two degrees of freedom the t distribution has a closed form: p = 1 - t / sqrt(2 + t^2)."""
    first, second = [70.0, 72.0, 74.5], [69.0, 70.0, 71.0]
    differences = np.subtract(first, second)
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(3))
    assert paired_runs(first, second) == pytest.approx(1 - t / math.sqrt(2 + t**2))


def test_paired_runs_without_a_deviation() -> None:
    assert paired_runs([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_runs([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == 0.25


def test_holm() -> None:
    """4 x 0.005, 3 x 0.01, 2 x 0.03, and never less than one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_bootstrap_draws_clips_with_replacement() -> None:
    differences = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=400)
    ours = paired_bootstrap(differences, resamples=20_000)
    plain = np.random.default_rng(1).choice(differences, (5_000, 400)).mean(axis=1)
    assert ours == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.008)
    theirs = bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=5_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.008)


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    differences = np.random.default_rng(0).choice([-1.0, 0.0, 0.5], size=50)
    assert paired_bootstrap(differences, seed=3) == paired_bootstrap(differences, seed=3)
    assert paired_bootstrap(differences, seed=3) == paired_bootstrap(differences[::-1], seed=3)
    assert paired_bootstrap(differences, seed=3) != paired_bootstrap(differences, seed=4)
    assert paired_bootstrap(np.zeros(9)) == (0.0, 0.0)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    inside = 0
    for number in range(400):
        low, high = paired_bootstrap(generator.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=300), 0.1, 2_000, number)
        inside += low <= 0.2 <= high
    assert 0.85 < inside / 400 < 0.94
