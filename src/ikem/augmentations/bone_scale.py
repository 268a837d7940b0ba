"""Scaled bones."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.modalities import joint_indices
from ikem.schema import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ikem.skeleton import Skeleton


class BoneScale(Settings):
    """Scaled bones: each bone of a clip is multiplied by a random factor, and the body is put together again.

    Lin et al. 2023 (ActCLR, arXiv 2303.10904).
    """

    kind: Literal["bone_scale"] = "bone_scale"
    smallest: float = Field(0.0, ge=0, le=100)
    """The smallest factor; it is uniform from here to the largest."""
    largest: float = Field(0.5, ge=0, le=100)
    """The largest factor."""


def bones_of(position: Tensor, skeleton: Skeleton) -> Tensor:
    """Vector from the parent of each joint to it; the center has its position: (..., V) to (..., V)."""
    center = joint_indices((skeleton.center,), position.device)
    bones = position - position.index_select(-1, joint_indices(skeleton.parents, position.device))
    return bones.index_copy(-1, center, position.index_select(-1, center))


def joints_of(bones: Tensor, skeleton: Skeleton) -> Tensor:
    """The inverse of `bones_of`: each joint is the sum of the bones on its path from the center."""
    return bones @ _paths(skeleton.parents, bones.device, bones.dtype)


@functools.lru_cache(maxsize=32)
def _paths(parents: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """(V, V): entry [bone, joint] is 1 if the bone is on the path to the joint."""
    import torch

    paths = [[0.0] * len(parents) for _ in parents]
    for joint in range(len(parents)):
        bone = joint
        paths[bone][joint] = 1.0
        while parents[bone] != bone:
            bone = parents[bone]
            paths[bone][joint] = 1.0
    with torch.inference_mode(False):  # what is kept must be usable in training, too
        return torch.tensor(paths, device=device, dtype=dtype)


def scale_bones(position: Tensor, factors: Tensor, skeleton: Skeleton) -> Tensor:
    """Multiply each bone by a factor; the center stays where it is.

    Args:
        position: (N, M, C, T, V).
        factors: (N, V), that of the center has no effect.
        skeleton: of the V joints.

    Returns:
        (N, M, C, T, V).
    """
    center = joint_indices((skeleton.center,), position.device)
    factors = factors.to(position.dtype).index_fill(1, center, 1.0)
    return joints_of(bones_of(position, skeleton) * factors.view(len(factors), 1, 1, 1, -1), skeleton)


def random_factors(uniform: Tensor, joints: int, options: BoneScale) -> Tensor:
    """Uniform numbers (N, 1) as factors (N, joints) of each clip's own."""
    from ikem.encoders.dropout import random_words

    words = random_words((uniform[:, 0] * 2**53).long(), joints)
    shares = (words >> 11 & (1 << 53) - 1).double() / 2**53
    return options.smallest + (options.largest - options.smallest) * shares


def random_bone_scale(position: Tensor, uniform: Tensor, options: BoneScale, skeleton: Skeleton) -> Tensor:
    """`scale_bones` by random factors."""
    return scale_bones(position, random_factors(uniform, position.shape[4], options), skeleton)


AUGMENTATION = Augmentation(BoneScale, 1, random_bone_scale)
