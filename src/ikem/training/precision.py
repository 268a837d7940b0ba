"""The arithmetic of encoders in training and embedding."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """PyTorch's autocast to bfloat16 where `precision` is "bfloat16"; "float32" leaves everything as it is."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
