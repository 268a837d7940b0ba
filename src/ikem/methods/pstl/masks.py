"""The two masks of PSTL (Zhou et al. 2023, arXiv 2302.09018): which frames and which joints are left out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.encoders.dropout import random_words
from ikem.skeleton import Skeleton


def slow_frames(x: Tensor, fast: int, random: int, seed: int) -> Tensor:
    """Motion attention temporal mask: each clip without the frames that move most, and without some of the others.

    The motion of a frame is the mean square of the difference to the next frame; the last frame has none. The `random`
    others that are dropped are the same of all clips, counted among those that are left.

    Args:
        x: (N, M, C, T, V).
        fast: number of frames that are dropped because they move most.
        random: number of others that are dropped; fast + random is less than T.
        seed: fixes which.

    Returns:
        (N, M, C, T - fast - random, V), frames in their order.
    """
    clips, frames = x.shape[0], x.shape[3]
    motion = x.new_zeros(clips, frames)
    motion[:, :-1] = x.diff(dim=3).square().mean(dim=(1, 2, 4))
    slow = motion.argsort(dim=1, stable=True)[:, : frames - fast].sort(dim=1).values
    order = random_words(torch.full((1,), seed, device=x.device), frames - fast)[0].argsort()
    kept = slow.index_select(1, order[random:].sort().values)
    return x.gather(3, kept.view(clips, 1, 1, -1, 1).expand(*x.shape[:3], -1, x.shape[4]))


def remaining_joints(skeleton: Skeleton, draws: int, seed: int) -> NDArray[np.int64]:
    """Central spatial mask: the joints that are left after some are drawn and left out.

    Joints are drawn without replacement from a list that holds each as often as it has edges: a joint of many edges is
    drawn more often, and may be drawn again.

    Args:
        skeleton: gives the edges of the encoder's graph.
        draws: number of draws, less than the number of joints.
        seed: fixes them.

    Returns:
        sorted numbers of joints.
    """
    ends = np.asarray(skeleton.graph_edges).flatten()
    drawn = np.random.default_rng(seed).permutation(ends)[:draws]
    return np.setdiff1d(np.arange(skeleton.joint_count), drawn)
