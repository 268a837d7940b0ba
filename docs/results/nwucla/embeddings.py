"""What embeddings of NW-UCLA look like, on the clips of the training cameras of xview alone, without a classifier.

    python docs/results/nwucla/embeddings.py results/nwucla/nwucla/prepared/samples.csv \\
        results/nwucla/nwucla/xview/seed*/embed/*/embeddings.safetensors

A row for each method (the folder of a file) and modality: means over its files, seeds or splits, ± their sample
deviation. With z the embedding of a clip divided by its length:

- views: mean squared distance of z between the two cameras' clips of one performance, as a share of the mean over all
  pairs of clips. 0: a change of the camera changes nothing; 1: as much as another clip.
- uniformity: log of the mean of exp(-2 |z - z'|^2) over all pairs (Wang and Isola 2020, arXiv 2005.10242, equation 5).
- rank: exp of the entropy of the normalized singular values of the centered z (Roy and Vetterli 2007): how many
  dimensions are used.
- same label: percentage of clips whose nearest neighbor among clips of other subjects has their label; what a mined
  positive of another person would be.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from torch.nn.functional import normalize

from ikem.data.store import load_samples
from ikem.modalities import MODALITIES
from ikem.training.checkpoint import load_tensors

HEADER = ("method", "modality", "files", "views", "uniformity", "rank", "same label")
DECIMALS = (2, 2, 1, 1)
PERFORMANCE = ["label", "subject", "replication"]


def measures(z: np.ndarray, samples: pd.DataFrame) -> tuple[float, float, float, float]:
    """The four figures of embeddings (N, D) of length 1."""
    squared = np.maximum(2 - 2 * z @ z.T, 0)
    pairs = squared[np.triu_indices(len(z), 1)]
    performance = samples.groupby(PERFORMANCE).ngroup().to_numpy()
    camera, subject, label = (samples[name].to_numpy() for name in ("camera", "subject", "label"))
    views = (performance[:, None] == performance[None]) & (camera[:, None] < camera[None])
    singular = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)
    share = singular / singular.sum()
    nearest = np.where(subject[:, None] != subject[None], squared, np.inf).argmin(axis=1)
    return (
        float(squared[views].mean() / pairs.mean()),
        float(np.log(np.exp(-2 * pairs).mean())),
        float(np.exp(-(share * np.log(np.maximum(share, 1e-12))).sum())),
        100 * float((label[nearest] == label).mean()),
    )


def main(samples_path: Path, paths: list[Path]) -> None:
    """Print a row for each method and modality."""
    samples = load_samples(samples_path)
    rows = np.flatnonzero(samples["camera"].to_numpy() < 3)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for path in paths:
        tensors, _ = load_tensors(path)
        for modality in filter(tensors.__contains__, MODALITIES):
            z = normalize(tensors[modality][rows].double(), dim=1).numpy()
            found[path.parent.name, modality].append(measures(z, samples.iloc[rows]))
    order = list(MODALITIES)
    print(f"| {' | '.join(HEADER)} |\n| --- | --- |{' ---: |' * 5}")
    for (method, modality), values in sorted(found.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        means = np.mean(values, axis=0)
        deviations = np.std(values, axis=0, ddof=1) if len(values) > 1 else np.full(len(DECIMALS), np.nan)
        cells = [f"{mean:.{n}f} ± {dev:.{n}f}" for mean, dev, n in zip(means, deviations, DECIMALS, strict=True)]
        print(f"| {method} | {modality} | {len(values)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])
