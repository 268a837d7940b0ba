"""The clips a job trains on: on the training device if they fit, else read ahead from the memory map."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.data.splits import read_split
from ikem.data.store import load_samples, open_array

_AHEAD = 2
"""Batches that are read while one is trained on."""


@dataclass(frozen=True)
class Batch:
    """Some clips on the training device.

    Attributes:
        rows: (B,) int64, numbers of the clips among the training clips; on the device, like all of a batch.
        position: (B, M, C, T, V) float32.
        frames: (B,) int64, raw lengths.
    """

    rows: Tensor
    position: Tensor
    frames: Tensor


class Clips:
    """Chosen clips of a prepared data set.

    Attributes:
        count: number of clips.
        frames: T.
        classes: number of classes of the whole data set.
        labels: (count,) int64.
        resident: whether all clips are kept on the device.
    """

    def __init__(
        self,
        position: Path,
        indices: Sequence[int] | NDArray[np.int64],
        device: torch.device,
        resident: bool | None = None,
    ) -> None:
        """Choose clips.

        Args:
            position: prepared/position.npy; samples.csv is stored next to it.
            indices: numbers of the clips in it.
            device: where batches go.
            resident: keep all on the device; None: if they take at most half of what is free there.

        Raises:
            InputError: a file is missing or damaged.
        """
        self._array = open_array(position)
        samples = load_samples(position.with_name("samples.csv"))
        self._indices = np.asarray(indices, dtype=np.int64)
        self._device = device
        self.count = len(self._indices)
        self.frames = int(self._array.shape[2])
        self.classes = int(samples["label"].max()) + 1
        self.labels = samples["label"].to_numpy(np.int64)[self._indices]
        self._lengths = torch.from_numpy(samples["frames"].to_numpy(np.int64)[self._indices]).to(device)
        if resident is None:
            resident = self._array[:1].nbytes * self.count * 2 <= _free_bytes(device)
        self.resident = resident

    def _read(self, rows: NDArray[np.int64]) -> Tensor:
        wanted = self._indices[rows]
        order = np.argsort(wanted, kind="stable")  # the map is read front to back
        read = np.empty((len(wanted), *self._array.shape[1:]), np.float32)
        read[order] = self._array[wanted[order]]
        # (N, C, T, V, M) on disk, (N, M, C, T, V) in memory
        return torch.from_numpy(read.transpose(0, 4, 1, 2, 3).copy())

    def batches(self, cut: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        """The clips of each batch of row numbers, in turn."""
        if not cut:
            return
        # All numbers at once: a copy for each batch would wait for what the device is doing.
        order = send(torch.from_numpy(np.concatenate(cut)), self._device)
        parts = torch.split(order, [len(rows) for rows in cut])
        for rows, position in zip(parts, self._positions(cut, parts), strict=True):
            yield Batch(rows, position, self._lengths.index_select(0, rows))

    @cached_property
    def _on_device(self) -> Tensor:
        """All clips, read when the first batch is asked for."""
        return self._read(np.arange(self.count)).to(self._device)

    def _positions(self, cut: Sequence[NDArray[np.int64]], parts: Sequence[Tensor]) -> Iterator[Tensor]:
        if self.resident:
            for rows in parts:
                yield self._on_device.index_select(0, rows)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = deque(reader.submit(self._fetch, rows) for rows in cut[:_AHEAD])
            for number in range(len(cut)):
                position = ahead.popleft().result()
                if number + _AHEAD < len(cut):
                    ahead.append(reader.submit(self._fetch, cut[number + _AHEAD]))
                yield position.to(self._device, non_blocking=True)

    def _fetch(self, rows: NDArray[np.int64]) -> Tensor:
        """What a batch needs of the memory map, in memory that a GPU can copy from by itself."""
        return _pinned(self._read(rows), self._device)


def send(value: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device; a GPU copies it by itself, when it has done what was asked of it before."""
    return _pinned(value, device).to(device, non_blocking=True)


def _pinned(value: Tensor, device: torch.device) -> Tensor:
    return value.pin_memory() if device.type == "cuda" else value


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def training_clips(position: Path, split: Path, device: torch.device) -> Clips:
    """The training clips of a split."""
    return Clips(position, read_split(split)["train"], device)
