"""The joint mask of HiCLR: some joints of every frame are replaced by a learned number."""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.encoders.dropout import random_words


def joint_mask(seed: int, frames: int, joints: int, count: int, device: torch.device) -> Tensor:
    """Choose `count` different joints in each frame, any with the same probability.

    Zhang et al. 2023 (HiCLR, arXiv 2211.13466), whose published code has one mask for all clips of a batch.

    Args:
        seed: the mask is a function of it; nothing is read from the device.
        frames, joints: T, V.
        count: of joints in each frame.
        device: of the mask.

    Returns:
        (T, V) boolean.
    """
    words = random_words(torch.full((1,), seed, device=device), frames * joints).view(frames, joints)
    chosen = words.topk(count, dim=1).indices
    return torch.zeros(frames, joints, dtype=torch.bool, device=device).scatter_(1, chosen, True)
