"""What the streams of a method share, from the scores of single test clips that linear evaluation keeps.

    python docs/results/nwucla/streams.py results/nwucla/nwucla/xview linear crossclr ikem-3 skeletonclr-6 ikem-6

A row for each method, each figure the mean over its seeds ± their sample deviation, percent:

- streams: mean top-1 of the single streams; fused: top-1 of their fusion.
- shared errors: of the test clips that at least one of two streams gets wrong, the share that both get wrong, mean of
  all pairs; by chance: what it would be if the streams erred independently, each as often as it does.
- any: clips that at least one stream gets right.

Then for each pair of methods the difference of their fusions in points over common seeds, with a 95 % interval by the
bootstrap of comparisons.csv, which has equal numbers of streams only.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from ikem.report.agreement import read_errors, shared_errors
from ikem.report.statistics import paired_bootstrap

HEADER = ("method", "seeds", "streams", "fused", "shared errors", "by chance", "any")


def measures(errors: dict[str, np.ndarray]) -> tuple[float, ...]:
    """The five figures of one run; `errors` has an array (clips,) of each stream and of the fusion."""
    names = [name for name in errors if "+" not in name]
    fused = _fused(errors)
    rates = np.array([errors[name].mean() for name in names])
    pairs = np.triu_indices(len(names), 1)
    both, either = rates[pairs[0]] * rates[pairs[1]], rates[pairs[0]] + rates[pairs[1]]
    return (
        100 * float(1 - rates.mean()),
        100 * float(1 - fused.mean()),
        float(shared_errors(errors, names)[pairs].mean()),
        100 * float((both / (either - both)).mean()),
        100 * float(1 - np.all([errors[name] for name in names], axis=0).mean()),
    )


def _fused(errors: dict[str, np.ndarray]) -> np.ndarray:
    """(clips,) float64: 1 where the fusion errs."""
    return next(wrong for name, wrong in errors.items() if "+" in name).astype(float)


def main(split: Path, evaluation: str, methods: list[str]) -> None:
    """Print both tables."""
    runs = {
        method: {
            int(path.parts[-4].removeprefix("seed")): read_errors(path)
            for path in sorted(split.glob(f"seed*/linear/{method}/{evaluation}.scores.safetensors"))
        }
        for method in methods
    }
    print(f"| {' | '.join(HEADER)} |\n| --- |{' ---: |' * 6}")
    for method, seeds in runs.items():
        found = np.array([measures(errors) for errors in seeds.values()])
        deviations = found.std(axis=0, ddof=1) if len(found) > 1 else np.full(5, np.nan)
        cells = [f"{mean:.1f} ± {dev:.1f}" for mean, dev in zip(found.mean(axis=0), deviations, strict=True)]
        print(f"| {method} | {len(found)} | {' | '.join(cells)} |")
    print("\n| method | against | difference | 95 % interval |\n| --- | --- | ---: | ---: |")
    for one, other in combinations(methods, 2):
        seeds = sorted(runs[one].keys() & runs[other].keys())
        gains = 100 * np.mean([_fused(runs[other][seed]) - _fused(runs[one][seed]) for seed in seeds], axis=0)
        low, high = paired_bootstrap(gains)
        print(f"| {one} | {other} | {gains.mean():+.1f} | {low:+.1f} to {high:+.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
