"""Encoders with their initial parameters; the job has no epochs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ikem.encoders.initialization import initialize
from ikem.encoders.registry import build_encoder, encoder_options
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton
from ikem.training.loader import Batch, Clips
from ikem.training.optimizers import build_optimizer


class UntrainedEncoders:
    """An encoder for each modality."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Draw the parameters."""
        options, skeleton = encoder_options(settings["encoder"]), load_skeleton(settings["skeleton"])
        branches = nn.ModuleDict()
        for modality in settings["modalities"]:
            encoder = build_encoder(options, skeleton)
            initialize(encoder, seed_for(settings["seed"], "untrained", modality), settings["initialization"])
            branches[modality] = nn.ModuleDict({"encoder": encoder})
        self.model = nn.ModuleDict({"query": branches})
        self.optimizer = build_optimizer(self.model.parameters(), settings["schedule"])

    def begin_epoch(self, epoch: int) -> None:
        """There is none."""

    def step(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """There is none."""
        raise NotImplementedError("untrained encoders have no training step")
