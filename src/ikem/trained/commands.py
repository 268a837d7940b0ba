"""What the commands `embed`, `predict` and `export` do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ikem.data.clips import Reject
from ikem.errors import InputError, printable
from ikem.trained.encoder import TrainedEncoder, batches
from ikem.trained.load import Trained, device_of, load_trained, only
from ikem.trained.recordings import Recording, read_recordings, words_of
from ikem.trained.selection import Options
from ikem.trained.tables import check_ending, likeliest, write_embeddings, write_predictions


def embed(
    result: Path, inputs: Sequence[Path], output: Path, options: Options, modality: str | None, device: str
) -> int:
    """Embed clips and write a table of a row each; returns the number of clips that could not be used.

    Raises:
        InputError: see `load_trained` and `read_recordings`; or no clip could be used.
    """
    check_ending(output)
    encoder = _encoder(result, options, modality, device, classifier=False)
    names, parts, rejected = _over(encoder, inputs, lambda batch: encoder.embed(batch).numpy())
    write_embeddings(output, names, np.concatenate(parts, axis=1), encoder.modalities)
    shown = ", ".join(encoder.modalities)
    print(f"{output}: {len(names)} clips, {encoder.width} numbers for each of {shown}")
    return rejected


def predict(
    result: Path,
    inputs: Sequence[Path],
    output: Path | None,
    options: Options,
    modality: str | None,
    device: str,
    top: int,
) -> int:
    """Classify clips; print the likeliest classes or write them. Returns the number of clips that could not be used.

    Raises:
        InputError: as `embed`; or there is no classifier.
    """
    if output is not None:
        check_ending(output)
    encoder = _encoder(result, options, modality, device, classifier=True)
    names, parts, rejected = _over(encoder, inputs, lambda batch: encoder.scores(encoder.embed(batch)))
    logits = np.concatenate(parts)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    if output is not None:
        write_predictions(output, names, encoder.classes, probabilities, top)
        print(f"{output}: {len(names)} clips, {len(encoder.classes)} classes")
        return rejected
    for name, row in zip(names, probabilities, strict=True):
        print(f"{printable(name)}: " + ", ".join(f"{encoder.classes[k]} {row[k]:.3f}" for k in likeliest(row, top)))
    return rejected


def trained_of(result: Path, options: Options, modality: str | None, classifier: bool) -> Trained:
    """What a command's arguments mean."""
    trained = load_trained(result, options, classifier)
    return trained if modality is None else only(trained, modality)


def _encoder(result: Path, options: Options, modality: str | None, device: str, classifier: bool) -> TrainedEncoder:
    return TrainedEncoder(trained_of(result, options, modality, classifier), device_of(device))


def _over(
    encoder: TrainedEncoder, inputs: Sequence[Path], compute: Callable[[list[Recording]], Any]
) -> tuple[list[str], list[Any], int]:
    """Names of all clips that can be used, what is computed of each batch, and the number of the others.

    Why a clip cannot be used is printed when it is found.
    """
    rejected = 0

    def usable() -> Iterator[Recording]:
        nonlocal rejected
        for clip in read_recordings(inputs, encoder.reading):
            if isinstance(clip, Reject):
                rejected += 1
                print(f"cannot be used: {words_of(clip)}", file=sys.stderr)
            else:
                yield clip

    names: list[str] = []
    parts: list[Any] = []
    for batch in batches(usable()):
        names += [recording.name for recording in batch]
        parts.append(compute(batch))
    if not names:
        raise InputError("no clip can be used", location=", ".join(map(str, inputs)))
    return names, parts, rejected
