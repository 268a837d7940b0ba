"""A trained encoder that takes clips as they were recorded: preparation and modalities are part of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.data.clips import Floats, Reject
from ikem.data.prepare import prepare_clips
from ikem.errors import InputError
from ikem.evaluations.embed import FrozenEncoders
from ikem.evaluations.linear.classifiers import apply_classifiers
from ikem.trained.load import Trained
from ikem.trained.recordings import Reading, Recording, array_recordings, read_recordings, words_of
from ikem.training.precision import arithmetic

_BATCH = 128
"""Clips that are in memory at a time."""

_Path = str | os.PathLike[str]
Clips = _Path | Sequence[_Path] | NDArray[Any] | Tensor
"""A file, folder, archive or array file, several of them, or an array (N, 3, T, V, M) in memory."""


class TrainedEncoder:
    """The encoders of a trained method, one for each modality, with all that happens to a clip before them.

    Args:
        trained: what `ikem.trained.load` gives.
        device: where to compute.

    Attributes:
        description: what is known of it.
        modalities: in the order of the embedding's parts.
        width: D, of the embedding by one modality.
        classes: names of the classes that `probabilities` tells apart; empty without a classifier.
        networks: the encoder of each modality, an `nn.Module` of prepared clips (N, M, 3, T, V) of it, for those who
            want to train it further.
    """

    def __init__(self, trained: Trained, device: torch.device) -> None:
        self.description = about = trained.description
        self.modalities, self.width, self.classes = about.modalities, about.encoder.hidden_dim, about.classes
        self._skeleton, self._device = about.built_skeleton(), device
        self.reading = Reading(self._skeleton, about.body_rule, about.trim_empty, about.bodies)
        self.networks = trained.encoders()
        self._frozen = FrozenEncoders(
            self.networks, self._skeleton, about.precision, trained.standardizations(), device
        )
        self._classifiers = trained.classifiers()

    def __call__(self, clips: Clips) -> NDArray[np.float32]:
        """Embed clips: (N, modalities * D) float32, the parts of the modalities one after another.

        Args:
            clips: a path or several: `.skeleton` or `.json` files, folders and archives of them, `.npy` arrays; or an
                array (N, 3, T, V, M) of floating-point numbers, see docs/use.md.

        Raises:
            InputError: a clip cannot be used.
        """
        parts = [self.embed(batch) for batch in batches(self._all(clips))]
        if not parts:
            return np.zeros((0, len(self.modalities) * self.width), np.float32)
        embeddings: NDArray[np.float32] = torch.cat(parts, dim=1).transpose(0, 1).flatten(1).numpy()
        return embeddings

    def probabilities(self, clips: Clips) -> NDArray[np.float32]:
        """Classify clips: (N, K) float32, the softmax of the classifier's scores; `classes` names the columns.

        Of several modalities they are fused as in the evaluation: by classifiers that were trained together.

        Raises:
            InputError: a clip cannot be used, or there is no classifier.
        """
        parts = [self.scores(self.embed(batch)) for batch in batches(self._all(clips))]
        logits = np.concatenate([np.zeros((0, len(self.classes)), np.float32), *parts])
        found: NDArray[np.float32] = torch.from_numpy(logits).softmax(dim=1).numpy()
        return found

    def prepare(self, recordings: Sequence[Recording]) -> tuple[Floats, NDArray[np.int64]]:
        """Prepared positions (n, 3, T, V, M) float32 of recordings, and their numbers of raw frames (n,) int64."""
        frames = np.array([len(recording.coordinates) for recording in recordings], np.int64)
        coordinates = np.concatenate([recording.coordinates for recording in recordings])
        how = self.description.prepare
        position = prepare_clips(
            coordinates[:, : self.description.bodies],
            np.cumsum(frames) - frames,
            frames,
            self._skeleton,
            how.frames,
            how.center,
            how.align_shoulders,
            how.scale,
        )
        return position, frames

    def embed(self, recordings: Sequence[Recording]) -> Tensor:
        """(modalities, n, D) float32 on the CPU, of n recordings, one at least."""
        with arithmetic(self._device, self.description.precision):
            return self._frozen(*self.prepare(recordings))

    def scores(self, embeddings: Tensor) -> NDArray[np.float32]:
        """Scores of the classes (n, K) of what `embed` gives: before the softmax, fused over the modalities.

        Raises:
            InputError: there is no classifier.
        """
        if not self._classifiers:
            raise InputError(
                "has no classifier",
                location="the encoder",
                hint="Load it from the file of an evaluation that keeps its classifiers, such as .../linear.json",
            )
        single, fused = apply_classifiers(self._classifiers, embeddings)
        return single[0] if fused is None else fused

    def _all(self, clips: Clips) -> Iterator[Recording]:
        if isinstance(clips, Tensor):
            clips = clips.detach().cpu().numpy()
        if isinstance(clips, np.ndarray):
            yield from array_recordings(clips, self.reading)
            return
        paths = [clips] if isinstance(clips, str | os.PathLike) else clips
        for clip in read_recordings([Path(path) for path in paths], self.reading):
            if isinstance(clip, Reject):
                raise InputError(words_of(clip))
            yield clip


def batches(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """At most 128 at a time."""
    iterator = iter(recordings)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
