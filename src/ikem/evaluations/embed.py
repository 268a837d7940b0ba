"""Embedding: each frozen encoder of a method runs once over all clips."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.data.splits import read_split
from ikem.data.store import open_array
from ikem.encoders.stgcn import STGCN
from ikem.errors import InputError
from ikem.settings import Encoder
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.training.classify import build_encoder
from ikem.workflow.device import one_device
from ikem.workflow.run_context import Job

logger = logging.getLogger("ikem")

_BATCH = 128


def load_encoder(state: Path, modality: str, settings: Encoder, skeleton: str) -> STGCN:
    """The trained encoder of a modality, in evaluation mode.

    Raises:
        InputError: the state is damaged, or holds no such encoder.
    """
    tensors, _ = load_tensors(state)
    encoder = build_encoder(settings, load_skeleton(skeleton))
    for prefix in (f"query.{modality}.encoder.", f"student.{modality}.encoder.", "encoder."):
        held = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if held:
            try:
                encoder.load_state_dict(held)
            except RuntimeError as error:
                raise InputError(
                    f"holds another encoder ({' '.join(str(error).split())})", location=str(state)
                ) from error
            return encoder.eval()
    raise InputError(f"holds no encoder of {modality}", location=str(state))


@torch.inference_mode()
def embed_clips(encoder: STGCN, array: NDArray[np.float32], device: torch.device, precision: str) -> Tensor:
    """Embed the clips of a modality array (N, 3, T, V, M): (N, hidden_dim) float32 on the CPU."""
    encoder.to(device).eval()
    parts = []
    for start in range(0, len(array), _BATCH):
        clips = np.ascontiguousarray(array[start : start + _BATCH].transpose(0, 4, 1, 2, 3))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            parts.append(encoder(torch.from_numpy(clips).to(device)).float().cpu())
    return torch.cat(parts)


def standardise(embedding: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """(N, width) with mean 0 and deviation 1 of each dimension over `rows`; one that does not vary becomes 0."""
    values = embedding.double()
    chosen = values[torch.from_numpy(rows)]
    deviation = chosen.std(dim=0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
    return ((values - chosen.mean(dim=0)) * scale).float()


def embed(
    job: Job, modalities: dict[str, Path], states: dict[str, Path], split: Path | None = None, device: str = "auto"
) -> None:
    """Run an `embed` job: a safetensors file with (N, hidden_dim) float32 for each modality, rows as in samples.csv

    Args:
        modalities: the array of each modality.
        states: for each modality the state that holds its encoder.
        split: if given, embeddings are standardised over its training clips.
    """
    settings = job.settings
    torch.set_num_threads(settings["threads"])
    embeddings: dict[str, Tensor] = {}
    with one_device(device, job) as chosen:
        for modality in settings["modalities"]:
            encoder = load_encoder(states[modality], modality, Encoder(**settings["encoder"]), settings["skeleton"])
            array = open_array(modalities[modality])
            embedding = embed_clips(encoder, array, chosen, settings["precision"])
            if split is not None:
                embedding = standardise(embedding, np.asarray(read_split(split)["train"], np.int64))
            embeddings[modality] = embedding
            logger.info("embedded %d clips of %s", len(array), modality)
            job.leave_if_asked()
    save_tensors(job.output, embeddings, {"digest": job.digest})
