"""Crop and shear, a clip at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def draw(
    generator: np.random.Generator, frames: int, padding_ratio: int = 6, amplitude: float = 0.5
) -> tuple[int, NDArray[np.float64]]:
    """The draws of one clip: first frame of the crop, and shear matrix."""
    start = int(generator.integers(0, 2 * (frames // padding_ratio) + 1))
    a, b, c, d, e, f = generator.uniform(-amplitude, amplitude, 6)
    return start, np.array([[1, a, b], [c, 1, d], [e, f, 1]])


def view(clip: Float32, start: int, matrix: NDArray[np.float64], padding_ratio: int = 6) -> Float32:
    """Crop and shear one clip (C, T, V, M)."""
    frames = clip.shape[1]
    padding = frames // padding_ratio
    before, after = clip[:, :padding][:, ::-1], clip[:, frames - padding :][:, ::-1]
    padded = np.concatenate([before, clip, after], axis=1)
    cropped = padded[:, start : start + frames]
    sheared = np.dot(cropped.transpose(1, 2, 3, 0), matrix.T)
    return np.ascontiguousarray(sheared.transpose(3, 0, 1, 2), dtype=np.float32)


def views(clips: Float32, starts: NDArray[np.int64], matrices: NDArray[np.float64]) -> Float32:
    """Crop and shear clips (N, C, T, V, M) one after another, with their draws given."""
    return np.stack(
        [view(clip, int(start), matrix) for clip, start, matrix in zip(clips, starts, matrices, strict=True)]
    )
