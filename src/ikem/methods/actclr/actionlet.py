"""The actionlet of a clip, the region that moves, and what is done with it (Lin et al. 2023, arXiv 2303.10904)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.pooling import pool
from ikem.errors import InputError
from ikem.losses.precision import full_precision
from ikem.skeleton import Skeleton

_SMALLEST = 1e-8
"""Divides the map: what is positive at all is nearly always 1 or more, so the mask is nearly binary."""


def body_parts(skeleton: Skeleton) -> list[list[int]]:
    """Trunk, arms and legs: joints without a side, and for each side those that bones connect.

    Raises:
        InputError: no name of a joint has the word left or right.
    """
    sides = [frozenset({"left", "right"} & set(name.split("_"))) for name in skeleton.joints]
    parts: dict[int, list[int]] = {}
    for joint, side in enumerate(sides):
        root = joint
        while side and root != skeleton.parents[root] and sides[skeleton.parents[root]] == side:
            root = skeleton.parents[root]
        parts.setdefault(root if side else -1, []).append(joint)
    if len(parts) < 3:
        raise InputError(
            f"skeleton {skeleton.name}: no parts of a body can be told from the names of its joints",
            hint="Name the joints such as left_hand, right_hand",
        )
    return list(parts.values())


def membership(skeleton: Skeleton) -> Tensor:
    """(parts, V) float32: 1 for each joint of a part of the body."""
    rows = torch.zeros(len(body_parts(skeleton)), skeleton.joint_count)
    for row, joints in zip(rows, body_parts(skeleton), strict=True):
        row[joints] = 1
    return rows


@full_precision
def actionlet(
    features: Tensor,
    bodies: int,
    head: nn.Module,
    mean_feature: Tensor,
    parts: Tensor,
    normalization: Literal["corrected", "released"] = "corrected",
) -> Tensor:
    """The mask of what makes each clip unlike the mean clip, which hardly moves.

    With F the features of a body, z = head(mean over bodies, frames and joints of F) and s the mean over the batch of
    cos(z, mean feature), the channels c are weighted by the gradient w_c of 1 - s by F_c, averaged over frames and
    joints (Selvaraju et al. 2017, Grad-CAM, arXiv 1610.02391, equations 1 and 2). The mask is relu(mean_c w_c F_c)
    / 1e-8, averaged within each part of the body, at most 1.

    Args:
        features: (N * M, D, T', V); a constant.
        bodies: M.
        head: (N, D) to (N, features).
        mean_feature: (1, features), the head's output for the mean clip; a constant.
        parts: (P, V), see `membership`; each joint belongs to one part.
        normalization: of z and the mean feature in the cosine: along their width ("corrected"), or each number by
            itself ("released"), which has no gradient but that of rounding, so hardly anything is in the mask.

    Returns:
        (N * M, 1, T', V) in 0 to 1, a constant.
    """
    maps = features.detach()
    frames, joints = maps.shape[2:]
    pooled = maps.mean(dim=(2, 3)).requires_grad_()
    with torch.enable_grad():
        z = head(pooled.view(-1, bodies, pooled.shape[1]).mean(dim=1))
        mean_feature = mean_feature.detach()
        if normalization == "released":
            z, mean_feature = z.unsqueeze(-1), mean_feature.unsqueeze(-1)
        similarity = (F.normalize(z, dim=-1) * F.normalize(mean_feature, dim=-1)).sum(dim=-1).mean()
        (gradient,) = torch.autograd.grad(1 - similarity, pooled)
    weights = gradient / (frames * joints)  # by a value of the map, which has this share in its mean
    positive = F.relu((weights[:, :, None, None] * maps).mean(dim=1, keepdim=True)) / _SMALLEST
    parts = parts.to(maps.dtype)
    of_parts = positive @ (parts / parts.sum(dim=1, keepdim=True)).t()
    return (of_parts @ parts).clamp(0, 1)


def masked_pool(features: Tensor, mask: Tensor, bodies: int) -> Tensor:
    """The mean over the frames and joints of the mask, then over bodies.

    Args:
        features: (N * M, D, T', V).
        mask: (N * M, 1, T', V); 1e-5 is added to its sum, so an empty one gives 0.
        bodies: M.

    Returns:
        (N, D).
    """
    pooled = (features * mask).sum(dim=(2, 3)) / (mask.sum(dim=(2, 3)) + 1e-5)
    return pool(pooled[:, :, None, None], bodies)


def combine(inside: Tensor, outside: Tensor, mask: Tensor) -> Tensor:
    """One clip inside a mask, another outside it.

    Args:
        inside, outside: (N, M, C, T, V).
        mask: (N * M, 1, T', V), enlarged to T frames bilinearly, the corners of both grids aligned.

    Returns:
        (N, M, C, T, V).
    """
    clips, bodies, _, frames, joints = inside.shape
    enlarged = F.interpolate(mask, (frames, joints), mode="bilinear", align_corners=True)
    enlarged = enlarged.view(clips, bodies, 1, frames, joints).to(inside.dtype)
    return outside.lerp(inside, enlarged)
