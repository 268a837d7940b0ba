"""What a choice of preparation leaves of the actions: nearest neighbors among prepared clips of NW-UCLA.

Queries are the training clips of xview. Each has the clips of all other subjects in the other training camera as
neighbors ("cross"), or in its own ("same"); they are turned about the vertical axis by -60 to 60 degrees in steps of 20
("cross, turned"). The third camera, which tests, takes no part.

    python docs/results/nwucla/nearest_neighbor.py results/nwucla/nwucla/decoded
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import torch

from ikem.data.prepare import prepare_clips, unit_range
from ikem.data.store import load_samples
from ikem.skeleton import load_skeleton

FRAMES = 32


def turned(clips: np.ndarray, degrees: int) -> np.ndarray:
    """Clips (N, 3, T, V, 1), all turned about y."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], np.float32)
    return np.einsum("dc,nctvm->ndtvm", matrix, clips)


def flat(clips: np.ndarray, scale: str) -> torch.Tensor:
    """Clips as vectors, scaled after they were turned."""
    scaled = clips if scale == "none" else unit_range(clips, each_axis=scale == "unit-range-axes")
    return torch.from_numpy(np.ascontiguousarray(scaled)).flatten(1)


def accuracy(distance: np.ndarray, allowed: np.ndarray, labels: np.ndarray) -> float:
    """Percentage of queries whose nearest allowed neighbor has their label."""
    return 100 * float((labels[np.where(allowed, distance, np.inf).argmin(axis=1)] == labels).mean())


def main(decoded: Path) -> None:
    """Print a row for each choice."""
    skeleton = load_skeleton("kinect20")
    samples = load_samples(decoded / "samples.csv")
    samples = samples[samples["camera"] < 3]
    coordinates = np.load(decoded / "coordinates.npy", mmap_mode="r")[:, :1]
    labels, subject, camera = (samples[name].to_numpy() for name in ("label", "subject", "camera"))
    other = subject[:, None] != subject[None]
    same = other & (camera[:, None] == camera[None])
    cross = other & (camera[:, None] != camera[None])
    print("| center | align_shoulders | scale | same | cross | cross, turned |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for center, turn in itertools.product(("frame", "first-frame"), ("frame", "first-frame", "none")):
        clips = prepare_clips(coordinates, samples["start"], samples["frames"], skeleton, FRAMES, center, turn)
        for scale in ("none", "unit-range", "unit-range-axes"):
            query = flat(clips, scale)
            plain = torch.cdist(query, query)
            views = [torch.cdist(query, flat(turned(clips, degrees), scale)) for degrees in range(-60, 61, 20)]
            nearest = torch.stack(views).amin(dim=0)
            figures = (
                accuracy(plain.numpy(), same, labels),
                accuracy(plain.numpy(), cross, labels),
                accuracy(nearest.numpy(), cross, labels),
            )
            print(f"| {center} | {turn} | {scale} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
