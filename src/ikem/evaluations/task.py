"""What an evaluation is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.evaluations.rows import Labels
from ikem.running_job import RunningJob
from ikem.skeleton import Skeleton


@dataclass(frozen=True)
class Outcome:
    """The scores of a modality, or of a fusion.

    Attributes:
        modalities: those that are fused, or one.
        scores: (n_test, K) of the test clips; higher is likelier.
        metrics: further metrics that do not follow from the scores, by name.
        train_clips: clips with labels that were trained on; None: all training clips.
        label_subset: number of the label subset, where the evaluation has some.
        condition: under which of its conditions was tested, where the evaluation has some.
    """

    modalities: Sequence[str]
    scores: NDArray[np.floating]
    metrics: Mapping[str, float] = field(default_factory=dict)
    train_clips: int | None = None
    label_subset: int | None = None
    condition: str = ""


@dataclass(frozen=True)
class EmbeddingTask:
    """Embeddings of all clips by frozen encoders.

    Attributes:
        options: the evaluation's section of the config.
        modalities: names, in the order of the embeddings.
        embeddings: (modalities, N, D) float32 on the device.
        labels: the labels and the split.
        seed: of the run.
        interrupt: to be called now and then; raises `Interrupted` if a signal asks the process to stop.
        keep: where each part goes that the evaluation's declaration `keeps`.
    """

    options: Mapping[str, Any]
    modalities: Sequence[str]
    embeddings: Tensor
    labels: Labels
    seed: int
    interrupt: Callable[[], None]
    keep: Mapping[str, Path] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """K."""
        return self.labels.classes

    def _part(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(indices).to(self.embeddings.device)

    @property
    def train(self) -> Tensor:
        """(modalities, n_train, D)."""
        return self.embeddings[:, self._part(self.labels.train)]

    @property
    def test(self) -> Tensor:
        """(modalities, n_test, D)."""
        return self.embeddings[:, self._part(self.labels.test)]

    @property
    def train_labels(self) -> Tensor:
        """(n_train,) int64."""
        return self._part(self.labels.labels[self.labels.train])

    @property
    def test_labels(self) -> Tensor:
        """(n_test,) int64."""
        return self._part(self.labels.labels[self.labels.test])


@dataclass(frozen=True)
class FrozenEncoderTask:
    """Frozen encoders, for embeddings of clips that are not on the disk.

    Attributes:
        options: the evaluation's section of the config.
        modalities: names.
        position: prepared positions (N, 3, T, V, M) float32, a memory map.
        labels: the labels and the split.
        skeleton: of V joints.
        embed: positions (n, 3, T, V, M) of clips, and their numbers (n,), to embeddings (modalities, n, D) float32 on
            the device, computed as those of the clean clips were.
        builds_on: the files of the evaluations that it builds on, by name.
        seed: of the run.
        interrupt: to be called now and then; raises `Interrupted` if a signal asks the process to stop.
    """

    options: Mapping[str, Any]
    modalities: Sequence[str]
    position: NDArray[np.float32]
    labels: Labels
    skeleton: Skeleton
    embed: Callable[[NDArray[np.float32], NDArray[np.int64]], Tensor]
    builds_on: Mapping[str, Path]
    seed: int
    interrupt: Callable[[], None]


@dataclass(frozen=True)
class EncoderTask:
    """Trained encoders, to be trained further.

    Attributes:
        options: the evaluation's section of the config.
        job: the running job: its settings (encoder, precision, seed, modalities, ...) and checkpoints.
        states: for each modality the state that holds its encoder.
        position: prepared/position.npy.
        labels: the labels and the split.
        label_subsets: clip numbers of each label subset; {None: all training clips} where there are none.
        device: where to compute.
        checkpoint_minutes: between checkpoints.
    """

    options: Mapping[str, Any]
    job: RunningJob
    states: Mapping[str, Path]
    position: Path
    labels: Labels
    label_subsets: Mapping[int | None, NDArray[np.int64]]
    device: torch.device
    checkpoint_minutes: float
