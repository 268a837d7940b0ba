"""IKEM-Bench: a reproducible benchmark of self-supervised skeleton action recognition."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from ikem.trained.encoder import TrainedEncoder

__version__ = "0.1.0"


def load_encoder(
    path: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    protocol: str | None = None,
    seed: int | None = None,
    method: str | None = None,
    evaluation: str | None = None,
    modality: str | None = None,
    device: str = "auto",
) -> TrainedEncoder:
    """Load a trained encoder: `encoder = ikem.load_encoder("results/..."); x = encoder("clip.skeleton")`.

    Args:
        path: the results folder, or anything in it that belongs to the method (a folder, a state, a file of results);
            or a folder that `python -m ikem export` wrote.
        dataset, protocol, seed, method: entries of the config that narrow the path.
        evaluation: the evaluation whose classifier `probabilities` uses; without it the one that there is.
        modality: one of several.
        device: "cpu", "cuda", or "auto", a GPU where there is one.

    Raises:
        InputError: nothing or too much is meant (the message lists what), or files are missing, damaged or stale.
    """
    from pathlib import Path

    from ikem.trained.encoder import TrainedEncoder
    from ikem.trained.load import device_of, load_trained, only
    from ikem.trained.selection import Options

    options = Options(dataset, protocol, None if seed is None else str(seed), method, evaluation)
    trained = load_trained(Path(path), options, classifier=evaluation is not None)
    return TrainedEncoder(trained if modality is None else only(trained, modality), device_of(device))
