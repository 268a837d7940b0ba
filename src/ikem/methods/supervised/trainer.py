"""The ceiling: encoder and classifier of one modality trained with all labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ikem.training.classifier import ClassifierTrainer
from ikem.training.loader import Clips


def supervised_trainer(
    settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
) -> ClassifierTrainer:
    """The trainer of a job that starts from initial parameters."""
    (modality,) = settings["modalities"]
    return ClassifierTrainer(settings, modality, clips.classes, clips, device)
