"""Optimizers and schedules of the learning rate, by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def build_optimizer(parameters: Iterable[nn.Parameter], schedule: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimizer of a schedule; the loop sets the learning rate of each epoch.

    Args:
        parameters: those that are trained.
        schedule: `learning_rate`, `weight_decay`, and `optimizer` with its `kind` and options.
    """
    options = dict(schedule["optimizer"])
    optimizer: torch.optim.Optimizer = OPTIMIZERS[options.pop("kind")](
        parameters, lr=schedule["learning_rate"], weight_decay=schedule["weight_decay"], **options
    )
    return optimizer


OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
"""PyTorch's class of each `optimizer.kind`; its options have PyTorch's names."""


def learning_rate(schedule: Mapping[str, Any], epoch: int) -> float:
    """The learning rate of an epoch, counted from 0.

    Args:
        schedule: `learning_rate`, and `decay` with its `kind` and options.
        epoch: of the whole schedule, also where a job runs a part of it.
    """
    decay = schedule["decay"]
    factor: float = DECAYS[decay["kind"]](decay, epoch)
    return float(schedule["learning_rate"]) * factor


def _step(decay: Mapping[str, Any], epoch: int) -> float:
    """`factor` once `epoch` epochs are over; an epoch of None never comes."""
    return 1.0 if decay["epoch"] is None or epoch < decay["epoch"] else float(decay["factor"])


def _cosine(decay: Mapping[str, Any], epoch: int) -> float:
    """Linear warm-up, then half a cosine down to `final` (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5)."""
    warmup, last = int(decay["warmup_epochs"]), int(decay["epochs"])
    if epoch < warmup:
        return epoch / warmup if decay["warmup_from_zero"] else (epoch + 1) / (warmup + 1)
    passed = (epoch - warmup) / max(1, last - warmup)
    return float(decay["final"]) + (1 - float(decay["final"])) * (1 + math.cos(math.pi * passed)) / 2


DECAYS: dict[str, Any] = {"step": _step, "cosine": _cosine}
"""For each `decay.kind` the factor of the learning rate in an epoch."""
