"""Linear evaluation by its learning rate, on the clips of the training cameras of xview alone: no test clip takes part.

    python docs/results/nwucla/linear_rate.py results/nwucla/nwucla/prepared/samples.csv \\
        results/nwucla/nwucla/xview/seed0/embed/*/embeddings.safetensors

A row for each file and rate, top-1 in percent of the fusion of its streams (of the stream, if there is one):

- other camera: classifiers trained on the clips of one camera, tested on the other's; mean of both directions.
- other subjects: trained on six or seven subjects in both cameras, tested on the others; mean of three divisions.

The encoders were pretrained on all these clips, without labels; only the classifiers have not seen those they are
tested on. Batches of 128, 100 epochs, a tenth of the rate in the last 20, as published.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ikem.data.store import load_samples
from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.modalities import MODALITIES
from ikem.settings.training import LinearSchedule
from ikem.training.checkpoint import load_tensors

RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
SUBJECTS = ((8, 9, 10), (3, 6, 7), (1, 2, 4, 5))


def divisions(samples: pd.DataFrame) -> dict[str, list[np.ndarray]]:
    """For each column (N,) arrays that are true for the clips tested; the other clips train."""
    camera, subject = samples["camera"].to_numpy(), samples["subject"].to_numpy()
    return {
        "other camera": [camera == 2, camera == 1],
        "other subjects": [np.isin(subject, held_out) for held_out in SUBJECTS],
    }


def accuracy(embeddings: torch.Tensor, labels: torch.Tensor, tested: np.ndarray, rate: float) -> float:
    """Top-1 after the last epoch; embeddings (modalities, N, D)."""
    train, test = (torch.from_numpy(np.flatnonzero(clips)) for clips in (~tested, tested))
    schedule = LinearSchedule(learning_rate=rate).model_dump()
    data = embeddings[:, train], labels[train], embeddings[:, test], labels[test]
    history = linear_evaluation(*data, int(labels.max()) + 1, schedule, seed=0).history
    return float(history[-1, -1 if len(embeddings) > 1 else 0])


def main(samples_path: Path, paths: list[Path]) -> None:
    """Print a row for each file and rate."""
    samples = load_samples(samples_path)
    rows = np.flatnonzero(samples["camera"].to_numpy() < 3)
    labels = torch.from_numpy(samples["label"].to_numpy()[rows].astype(np.int64))
    tested = divisions(samples.iloc[rows])
    print(f"| method | rate | {' | '.join(tested)} |\n| --- | ---: |{' ---: |' * len(tested)}")
    for path in paths:
        tensors, _ = load_tensors(path)
        embeddings = torch.stack([tensors[name][rows].float() for name in MODALITIES if name in tensors])
        for rate in RATES:
            means = [np.mean([accuracy(embeddings, labels, clips, rate) for clips in each]) for each in tested.values()]
            print(f"| {path.parent.name} | {rate:g} | {' | '.join(f'{mean:.1f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])
