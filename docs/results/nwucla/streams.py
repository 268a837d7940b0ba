"""What the streams of a method share, from the scores of single test clips that linear evaluation keeps.

    python docs/results/nwucla/streams.py linear crossclr ikem-3 ikem-6 --splits results/nwucla/nwucla/xview

A row for each method, each figure the mean over its seeds ± their sample deviation, percent. The test clips of several
splits are taken together.

- streams: mean top-1 of the single streams; fused: top-1 of their fusion.
- shared errors: of the test clips that at least one of two streams gets wrong, the share that both get wrong, mean of
  all pairs; by chance: what it would be if the streams erred independently, each as often as it does.
- any: clips that at least one stream gets right.

Then for each pair of methods the difference of their fusions in points over common seeds, with a 95 % interval by the
bootstrap of comparisons.csv, which has equal numbers of streams only.
"""

from __future__ import annotations

from argparse import ArgumentParser
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


def runs_of(method: str, evaluation: str, splits: list[Path]) -> dict[int, dict[str, np.ndarray]]:
    """For each seed that all splits have what `read_errors` gives, the clips of all splits one after the other."""
    pattern = f"seed*/*/{method}/{evaluation}.scores.safetensors"
    found = [{path.parts[-4]: read_errors(path) for path in split.glob(pattern)} for split in splits]
    seeds = sorted(set.intersection(*map(set, found)))
    if not seeds:
        raise SystemExit(f"no scores of {method} in {evaluation}: {', '.join(map(str, splits))}")
    return {
        int(seed.removeprefix("seed")): {
            stream: np.concatenate([errors[seed][stream] for errors in found]) for stream in found[0][seed]
        }
        for seed in seeds
    }


def main(evaluation: str, methods: list[str], splits: list[Path]) -> None:
    """Print both tables."""
    runs = {method: runs_of(method, evaluation, splits) for method in methods}
    print(f"| {' | '.join(HEADER)} |\n| --- |{' ---: |' * 6}")
    for method, seeds in runs.items():
        found = np.array([measures(errors) for errors in seeds.values()])
        cells = [f"{mean:.1f}" for mean in found.mean(axis=0)]
        if len(found) > 1:
            cells = [f"{mean} ± {dev:.1f}" for mean, dev in zip(cells, found.std(axis=0, ddof=1), strict=True)]
        print(f"| {method} | {len(found)} | {' | '.join(cells)} |")
    print("\n| method | against | difference | 95 % interval |\n| --- | --- | ---: | ---: |")
    for one, other in combinations(methods, 2):
        seeds = sorted(runs[one].keys() & runs[other].keys())
        gains = 100 * np.mean([_fused(runs[other][seed]) - _fused(runs[one][seed]) for seed in seeds], axis=0)
        low, high = paired_bootstrap(gains)
        print(f"| {one} | {other} | {gains.mean():+z.1f} | {low:+z.1f} to {high:+z.1f} |")


if __name__ == "__main__":
    parser = ArgumentParser(description="What the streams of a method share.")
    parser.add_argument("evaluation")
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--splits", nargs="+", type=Path, required=True, help="folders of a dataset's splits")
    options = parser.parse_args()
    main(options.evaluation, options.methods, options.splits)
