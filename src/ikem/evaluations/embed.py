"""Embedding: each frozen encoder of a method runs once over all clips."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ikem.data.splits import read_split
from ikem.data.store import open_array
from ikem.encoders.registry import build_encoder, encoder_options
from ikem.errors import InputError
from ikem.modalities import generate_all
from ikem.running_job import RunningJob
from ikem.settings.encoders import EncoderOptions
from ikem.skeleton import Skeleton, load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import send
from ikem.training.precision import autocast

logger = logging.getLogger("ikem")

_BATCH = 128


def load_encoder(state: Path, modality: str, settings: EncoderOptions, skeleton: str, prefix: str) -> nn.Module:
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
def embed_clips(encoder: nn.Module, array: NDArray[np.float32], device: torch.device, precision: str) -> Tensor:
    """Embed the clips of a modality array (N, 3, T, V, M): (N, hidden_dim) float32 on the CPU.

    The embedding of a clip is the mean over its bodies, absent ones (all zero) counted; all absent bodies have the same
    one, so it is computed once for each batch. An encoder that takes several bodies together gets whole clips. A GPU is
    waited for at the end only.
    """
    encoder.to(device).eval()
    together = getattr(encoder, "bodies_together", 1) > 1
    parts = []
    for start in range(0, len(array), _BATCH):
        bodies = np.moveaxis(array[start : start + _BATCH], -1, 1)  # (B, M, 3, T, V)
        if together:
            embedded, row = bodies.copy(), np.arange(len(bodies))[:, None]
        else:
            present = bodies.any(axis=(2, 3, 4))
            embedded = np.append(np.zeros_like(bodies[:1, 0]), bodies[present], axis=0)[:, None]  # absent one is first
            row = np.where(present, present.cumsum().reshape(present.shape), 0)
        with autocast(device, precision):
            each = encoder(send(torch.from_numpy(embedded), device)).float()
        parts.append(each[send(torch.from_numpy(row), device)].mean(dim=1))
    return torch.cat(parts).cpu()


@dataclass(frozen=True)
class Standardization:
    """Gives each dimension of embeddings mean 0 and deviation 1 over chosen clips; one that does not vary becomes 0.

    Attributes:
        mean, scale: (D,) float64; what is subtracted, and by what is multiplied then.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def over(cls, embedding: Tensor, rows: NDArray[np.int64]) -> Standardization:
        """Chosen clips are given by their numbers."""
        chosen = embedding.double()[torch.from_numpy(rows)]
        deviation = chosen.std(dim=0, correction=0)
        return cls(chosen.mean(dim=0), torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation)))

    def __call__(self, embedding: Tensor) -> Tensor:
        """(n, D) float32."""
        return ((embedding.double() - self.mean) * self.scale).float()


def job_encoder(settings: Mapping[str, Any], states: Mapping[str, Path], modality: str) -> nn.Module:
    """The encoder of a modality of a job, by its settings and for each modality the state that holds its encoder."""
    options = encoder_options(settings["encoder"])
    return load_encoder(states[modality], modality, options, settings["skeleton"], settings["encoder_prefix"])


def standardizations(stored: Mapping[str, Tensor], modalities: Iterable[str]) -> dict[str, Standardization]:
    """How the embeddings of these modalities are standardized, as the file of `embed_modalities` says; {}: not."""
    return {
        name: Standardization(stored[f"{name}.mean"], stored[f"{name}.scale"])
        for name in modalities
        if f"{name}.mean" in stored
    }


class FrozenEncoders:
    """The encoders of a method, for positions of any clips; `embed_modalities` computes the same of all clips.

    Args:
        encoders: of each modality, in order.
        skeleton: of the positions.
        precision: of the recipe.
        standardizations: of each modality, where its embeddings are standardized.
        device: where to compute.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        skeleton: Skeleton,
        precision: str,
        standardizations: Mapping[str, Standardization],
        device: torch.device,
    ) -> None:
        self._encoders, self._skeleton = encoders, skeleton
        self._precision, self._device, self._standardizations = precision, device, standardizations

    def __call__(self, position: NDArray[np.float32], frames: NDArray[np.int64]) -> Tensor:
        """Positions (n, 3, T, V, M) of clips of so many raw frames (n,) to (modalities, n, D) float32 on the CPU."""
        in_memory = torch.from_numpy(position).permute(0, 4, 1, 2, 3).contiguous()  # (N, M, C, T, V)
        generated = generate_all([*self._encoders], in_memory, torch.from_numpy(frames), self._skeleton)
        parts = []
        for name, encoder in self._encoders.items():
            array = generated[name].permute(0, 2, 3, 4, 1).numpy()
            embedding = embed_clips(encoder, array, self._device, self._precision)
            parts.append(self._standardizations[name](embedding) if name in self._standardizations else embedding)
        return torch.stack(parts)


def embed_modalities(
    job: RunningJob, arrays: Mapping[str, Path], states: Mapping[str, Path], split: Path | None, device: torch.device
) -> dict[str, Tensor]:
    """Embed all clips by the encoder of each modality of a job: (N, D) float32 on the CPU.

    Args:
        arrays: the array of each modality.
        states: for each modality the state that holds its encoder.
        split: if given, embeddings are standardized over its training clips; `{modality}.mean` and `{modality}.scale`,
            (D,) float64, say how.
    """
    settings = job.settings
    embeddings: dict[str, Tensor] = {}
    for modality in settings["modalities"]:
        encoder = job_encoder(settings, states, modality)
        array = open_array(arrays[modality])
        embedding = embed_clips(encoder, array, device, settings["precision"])
        if split is not None:
            standardization = Standardization.over(embedding, np.asarray(read_split(split)["train"], np.int64))
            embedding = standardization(embedding)
            embeddings |= {
                f"{modality}.mean": standardization.mean,
                f"{modality}.scale": standardization.scale,
            }
        embeddings[modality] = embedding
        logger.info("embedded %d clips of %s", len(array), modality)
        job.leave_if_asked()
    return embeddings
