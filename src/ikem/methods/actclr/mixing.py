"""How ActCLR mixes clips of a batch with one another (Lin et al. 2023, arXiv 2303.10904, and the released code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ikem.augmentations.bone_scale import bones_of, joints_of
from ikem.skeleton import Skeleton

BLOCK = 4
"""Frames of the input for one of the encoder's feature map."""


@dataclass(frozen=True)
class Mix:
    """What is drawn for a batch.

    Attributes:
        offset: clip i of a batch of N is mixed with clip (i + offset) mod N.
        kind: "paste" a region of the partner at the same place; "compress" the partner's first frames, twice as many,
            into it; "blend" everything.
        parts: parts of the body that the region has.
        start, blocks: first frame and length of the region, in blocks of four frames.
        share: of the partner in a blend.
    """

    offset: int
    kind: Literal["paste", "compress", "blend"]
    parts: tuple[int, ...]
    start: int
    blocks: int
    share: float


def draw_offset(seed: int, clips: int) -> int:
    """A random partner: 1 to clips - 2, as published, so that no clip is its own."""
    return 1 + int(np.random.default_rng(seed).integers(max(1, clips - 2)))


def draw_mix(seed: int, clips: int, frames: int, parts: int, fine: bool) -> Mix:
    """Draw what is done with a batch.

    Args:
        seed: fixes all.
        clips: N.
        frames: T.
        parts: number of parts that the body has.
        fine: one or two parts and blocks 1 to 3 long, instead of two or three parts and blocks 3 to 5 long.
    """
    generator = np.random.default_rng(seed)
    offset = 1 + int(generator.integers(max(1, clips - 2)))
    count = int(generator.integers(*((1, 3) if fine else (2, 4))))
    chosen = sorted(generator.permutation(parts)[:count].tolist())
    available = max(1, frames // BLOCK)
    blocks = min(int(generator.integers(*((1, 4) if fine else (3, 6)))), available)
    start = int(generator.integers(available - blocks + 1))
    u, share = generator.random(2).tolist()
    return Mix(offset, "paste" if u > 0.5 else "compress" if u > 0.25 else "blend", tuple(chosen), start, blocks, share)


def mix(x: Tensor, drawn: Mix, parts: Tensor) -> Tensor:
    """Mix each clip with its partner.

    Args:
        x: (N, M, C, T, V).
        drawn: what to do.
        parts: (P, V), see `ikem.methods.actclr.actionlet.membership`.

    Returns:
        (N, M, C, T, V).
    """
    partner = x.roll(-drawn.offset, dims=0)
    if drawn.kind == "blend":
        return x.lerp(partner, drawn.share)
    first, last = BLOCK * drawn.start, min(BLOCK * (drawn.start + drawn.blocks), x.shape[3])
    length = last - first
    if drawn.kind == "compress":
        taken = min(2 * length, x.shape[3])
        # Nearest frames: number i is frame floor(i taken / length).
        piece = torch.cat([partner[:, :, :, i * taken // length, None] for i in range(length)], dim=3)
    else:
        piece = partner[:, :, :, first:last]
    joints = _region(drawn, parts).bool()
    mixed = x.clone()
    mixed[:, :, :, first:last] = piece.where(joints, x[:, :, :, first:last])
    return mixed


def _region(drawn: Mix, parts: Tensor) -> Tensor:
    """(V,): 1 for the joints of the chosen parts."""
    return torch.stack([parts[part] for part in drawn.parts]).sum(dim=0)


def mixed_key(key: Tensor, mask: Tensor, drawn: Mix, parts: Tensor) -> Tensor:
    """The key of mixed clips: those of a clip and its partner, weighted by how much of what moves the mix has of each.

    With w = exp(mask / 0.1), the weight of a clip is the share of its sum of w outside the region, that of the partner
    the share of its own sum of w inside it; both are divided by their sum. (Where a piece is compressed, the partner's
    region is all frames of the parts; in a blend the region has the partner's share everywhere.)

    Args:
        key: (N, D), unit vectors.
        mask: (N * M, 1, T', V), actionlets of the clips.
        drawn: how they are mixed.
        parts: (P, V), see `ikem.methods.actclr.actionlet.membership`.

    Returns:
        (N, D), unit vectors.
    """
    frames = mask.shape[2]
    weight = (mask / 0.1).exp().view(len(key), -1, frames, mask.shape[3])
    if drawn.kind == "blend":
        of_partner = of_clip = weight.new_full((frames, 1), drawn.share)
    else:
        joints = _region(drawn, parts)
        of_clip = weight.new_zeros(frames, mask.shape[3])
        of_clip[drawn.start : drawn.start + drawn.blocks] = joints
        of_partner = joints.expand_as(of_clip) if drawn.kind == "compress" else of_clip
    total = weight.sum(dim=(2, 3))
    inside = ((weight * of_partner).sum(dim=(2, 3)) / total).mean(dim=1, keepdim=True).roll(-drawn.offset, dims=0)
    outside = ((weight * (1 - of_clip)).sum(dim=(2, 3)) / total).mean(dim=1, keepdim=True)
    partner = key.roll(-drawn.offset, dims=0)
    return torch.nn.functional.normalize((key * outside + partner * inside) / (inside + outside), dim=1)


def exchange(x: Tensor, modality: str, offset: int, skeleton: Skeleton) -> Tensor:
    """Give each clip the lengths, or the spread, of its partner.

    Joints: each bone keeps its direction and gets the length of the partner's bone in that frame; the body is put
    together again from the center. Bones: the same, of the vectors themselves. All other modalities: each joint gets
    the partner's deviation over the frames, each frame the partner's mean over the joints.

    Args:
        x: (N, M, C, T, V) of the modality.
        modality: its name.
        offset: see `Mix`.
        skeleton: of the V joints.

    Returns:
        (N, M, C, T, V).
    """
    if modality in ("joint", "bone"):
        vectors = bones_of(x, skeleton) if modality == "joint" else x
        length = (vectors.square().sum(dim=2, keepdim=True) + 1e-5).sqrt()
        factor = length.roll(-offset, dims=0) / length
        if modality == "bone":
            return vectors * factor
        center = skeleton.center
        factor = torch.cat([factor[..., :center], torch.ones_like(factor[..., :1]), factor[..., center + 1 :]], dim=-1)
        return joints_of(vectors * factor, skeleton)
    mean, deviation = x.mean(dim=4, keepdim=True), x.std(dim=3, keepdim=True)
    scaled = (x - mean) / (deviation + 1e-3) * deviation.roll(-offset, dims=0)
    return scaled + mean.roll(-offset, dims=0)
