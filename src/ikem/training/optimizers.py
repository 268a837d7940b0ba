"""Optimizers and schedules of the learning rate, by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ikem.errors import InputError


def build_optimizer(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], schedule: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer of a schedule; the loop sets the learning rate of each epoch.

    Args:
        parameters: those that are trained; or groups of them, with "rate_factor" of the learning rate.
        schedule: `learning_rate`, `weight_decay`, and `optimizer` with its `kind` and options.
    """
    options = dict(schedule["optimizer"])
    optimizer: torch.optim.Optimizer = OPTIMIZERS[options.pop("kind")](
        parameters, lr=schedule["learning_rate"], weight_decay=schedule["weight_decay"], **options
    )
    return optimizer


OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
"""PyTorch's class of each `optimizer.kind`; its options have PyTorch's names."""


def layer_groups(model: nn.Module, blocks: str, decay: float) -> list[dict[str, Any]]:
    """Parameters by layer; the learning rate falls from the last layer to the first.

    Of L blocks, number l from 1 on has the factor decay^(L + 1 - l); what comes before the first block decay^(L + 1),
    what comes after the last one 1. Bao et al. 2022 (BEiT, arXiv 2106.08254).

    Args:
        model: its parameters in the order of its layers.
        blocks: name of its list of blocks, such as "encoder.blocks".
        decay: factor from layer to layer.

    Returns:
        groups for `build_optimizer`.

    Raises:
        InputError: there are no such blocks.
    """
    layers: dict[int, list[nn.Parameter]] = {}
    layer = 0
    for name, parameter in model.named_parameters():
        inside = name.startswith(f"{blocks}.")
        if inside:
            layer = 1 + int(name.removeprefix(f"{blocks}.").split(".")[0])
        layers.setdefault(layer if inside or layer == 0 else -1, []).append(parameter)
    if not layer:
        raise InputError("the encoder has no blocks, so layer_decay has no meaning", hint="Leave layer_decay at 1")
    return [
        {"params": group, "rate_factor": decay ** (layer + 1 - number) if number >= 0 else 1.0}
        for number, group in layers.items()
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of what follows: of each group by its "rate_factor", if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)


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
