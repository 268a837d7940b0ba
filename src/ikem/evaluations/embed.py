"""Embedding: each frozen encoder of a method runs once over all clips."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.data.splits import read_split
from ikem.data.store import open_array
from ikem.encoders.stgcn import STGCN
from ikem.errors import InputError
from ikem.settings.training import Encoder
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.classifier import build_encoder
from ikem.workflow.run_context import Job

logger = logging.getLogger("ikem")

_BATCH = 128


def load_encoder(state: Path, modality: str, settings: Encoder, skeleton: str, prefix: str) -> STGCN:
    """The trained encoder of a modality, in evaluation mode.

    Args:
        prefix: of its parameters in the state, with "{modality}" for its name.

    Raises:
        InputError: the state is damaged, or holds no such encoder.
    """
    tensors, _ = load_tensors(state)
    encoder = build_encoder(settings, load_skeleton(skeleton))
    start = prefix.format(modality=modality)
    parameters = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    if not parameters:
        raise InputError(f"holds no encoder of {modality}", location=str(state))
    try:
        encoder.load_state_dict(parameters)
    except RuntimeError as error:
        raise InputError(f"holds another encoder ({' '.join(str(error).split())})", location=str(state)) from error
    return encoder.eval()


@torch.inference_mode()
def embed_clips(encoder: STGCN, array: NDArray[np.float32], device: torch.device, precision: str) -> Tensor:
    """Embed the clips of a modality array (N, 3, T, V, M): (N, hidden_dim) float32 on the CPU."""
    encoder.to(device).eval()
    parts = []
    for start in range(0, len(array), _BATCH):
        # A copy in any case: of one body the transposed map is contiguous as it is, and cannot be written to.
        clips = np.array(array[start : start + _BATCH].transpose(0, 4, 1, 2, 3), order="C")
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            parts.append(encoder(torch.from_numpy(clips).to(device)).float().cpu())
    return torch.cat(parts)


def standardize(embedding: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """(N, width) with mean 0 and deviation 1 of each dimension over `rows`; one that does not vary becomes 0."""
    values = embedding.double()
    chosen = values[torch.from_numpy(rows)]
    deviation = chosen.std(dim=0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
    return ((values - chosen.mean(dim=0)) * scale).float()


def embed_modalities(
    job: Job, arrays: Mapping[str, Path], states: Mapping[str, Path], split: Path | None, device: torch.device
) -> dict[str, Tensor]:
    """Embed all clips by the encoder of each modality of a job: (N, D) float32 on the CPU.

    Args:
        arrays: the array of each modality.
        states: for each modality the state that holds its encoder.
        split: if given, embeddings are standardized over its training clips.
    """
    settings = job.settings
    options = Encoder(**settings["encoder"])
    embeddings: dict[str, Tensor] = {}
    for modality in settings["modalities"]:
        prefix = settings["encoder_prefix"]
        encoder = load_encoder(states[modality], modality, options, settings["skeleton"], prefix)
        array = open_array(arrays[modality])
        embedding = embed_clips(encoder, array, device, settings["precision"])
        if split is not None:
            embedding = standardize(embedding, np.asarray(read_split(split)["train"], np.int64))
        embeddings[modality] = embedding
        logger.info("embedded %d clips of %s", len(array), modality)
        job.leave_if_asked()
    return embeddings
