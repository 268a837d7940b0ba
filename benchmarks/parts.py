"""The parts of the benchmark by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks import parts_data, parts_losses, parts_steps
from benchmarks.pair import Pair, Sizes


@dataclass(frozen=True)
class Part:
    """How a part is set up and measured.

    Attributes:
        build: sets it up for a device.
        share: of the time, in parts of all shares.
        one_core: whether it is measured on one core of a CPU, whatever the device.
    """

    build: Callable[[Sizes, torch.device], Pair]
    share: float
    one_core: bool = False


PARTS: dict[str, Part] = {
    "decode": Part(parts_data.decode, 12, one_core=True),
    "prepare": Part(parts_data.prepare, 12, one_core=True),
    "augment": Part(parts_data.augmentation, 10),
    "modalities": Part(parts_data.modalities, 15),
    "exchange-losses": Part(parts_losses.exchange_losses, 50),
    "distillation-losses": Part(parts_losses.distillation_losses, 50),
    "encoder": Part(parts_losses.encoder, 60),
    "stage-1-step": Part(parts_steps.stage_1_step, 110),
    "stage-2-step": Part(parts_steps.stage_2_step, 130),
    "distillation-step": Part(parts_steps.distillation_step, 90),
    "linear-evaluation": Part(parts_steps.linear, 110),
}
