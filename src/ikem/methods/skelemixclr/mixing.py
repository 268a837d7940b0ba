"""Mixing of clips: body parts of another clip take the place of a clip's own for a block of time.

Chen et al. 2022 (SkeleMixCLR, arXiv 2207.03065).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ikem.skeleton import Skeleton

_SIDES = {"left", "right"}


def body_parts(skeleton: Skeleton) -> list[list[int]]:
    """The trunk and the limbs, each a list of joints.

    A limb is joints with the same side in their names that bones connect; the trunk is all joints without a side. The
    25 joints of NTU RGB+D give the five published parts.
    """
    sides = [next((word for word in name.split("_") if word in _SIDES), "") for name in skeleton.joints]

    def root(joint: int) -> int:
        parent = skeleton.parents[joint]
        return joint if parent == joint or sides[parent] != sides[joint] else root(parent)

    parts: dict[int, list[int]] = {-1: []}
    for joint, side in enumerate(sides):
        parts.setdefault(root(joint) if side else -1, []).append(joint)
    return [part for part in parts.values() if part]


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed.

    Attributes:
        shift: the partner of clip i is clip i + shift of the batch, counted around its end.
        parts: indices of the body parts that are pasted.
        start, length: of the pasted block, in frames of the feature map.
    """

    shift: int
    parts: tuple[int, ...]
    start: int
    length: int


def draw_mix(
    seed: int, batch: int, frames: int, parts: int, part_counts: tuple[int, int], block: tuple[float, float]
) -> Mix:
    """One mix as a function of the seed; all choices are uniform.

    Args:
        seed: of (seed, modality, epoch, step, number of the mix).
        batch: number of clips; the shift is 1 to batch - 2, as published (1 for two clips, 0 for one).
        frames: T' of the feature map.
        parts: number of body parts there are.
        part_counts: fewest and most parts that are pasted.
        block: shortest and longest share of the frames; rounded, and one frame at least.
    """
    generator = np.random.default_rng(seed)
    shortest, longest = (min(frames, max(1, round(share * frames))) for share in block)
    length = int(generator.integers(shortest, longest, endpoint=True))
    count = generator.integers(*part_counts, endpoint=True)
    return Mix(
        shift=int(generator.integers(1, max(1, batch - 2), endpoint=True)) if batch > 1 else 0,
        parts=tuple(sorted(generator.choice(parts, count, replace=False).tolist())),
        start=int(generator.integers(0, frames - length, endpoint=True)),
        length=length,
    )


def region(mix: Mix, part_masks: Sequence[Tensor], frames: int, of: int) -> Tensor:
    """What is pasted: (frames, V) boolean.

    Args:
        mix: the mix.
        part_masks: (V,) boolean of each body part.
        frames: of the mask: T' for the feature map, T for clips, whose frames are shared evenly among those of the map.
        of: T', frames of the feature map.
    """
    joints = torch.stack([part_masks[part] for part in mix.parts]).any(dim=0)
    time = torch.arange(frames, device=joints.device) * of // frames
    inside = (time >= mix.start) & (time < mix.start + mix.length)
    return inside[:, None] & joints


def mixed(x: Tensor, mix: Mix, pasted: Tensor) -> Tensor:
    """Clips (B, M, C, T, V) with the region (T, V) of their partners."""
    return x.roll(-mix.shift, dims=0).where(pasted, x)


def pool_regions(features: Tensor, pasted: Tensor, bodies: int) -> Tensor:
    """The means of a feature map over what is pasted and over the rest; then over bodies, absent bodies counted.

    Args:
        features: (N * M, D, T', V).
        pasted: (T', V) boolean; neither all nor none.
        bodies: M.

    Returns:
        (2, N, D).
    """
    weights = torch.stack([pasted, ~pasted]).flatten(1).to(features.dtype)
    pooled = features.flatten(2) @ (weights / weights.sum(dim=1, keepdim=True)).t()  # (N * M, D, 2)
    return pooled.view(len(pooled) // bodies, bodies, -1, 2).mean(dim=1).permute(2, 0, 1)
