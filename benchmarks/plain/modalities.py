"""The modalities in the layout of the data, (N, C, T, V, M), with a loop over samples for their time scales."""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.skeleton import Skeleton


def motion(position: Tensor, frames: Tensor) -> Tensor:
    """Velocity of each joint."""
    result = torch.zeros_like(position)
    result[:, :, :-1] = position[:, :, 1:] - position[:, :, :-1]
    for sample in range(len(position)):
        result[sample] = result[sample] * (position.shape[2] / frames[sample])
    return result


def acceleration(position: Tensor, frames: Tensor) -> Tensor:
    """Change of the velocity."""
    velocity = motion(position, frames)
    result = torch.zeros_like(position)
    result[:, :, :-2] = velocity[:, :, 1:-1] - velocity[:, :, :-2]
    for sample in range(len(position)):
        result[sample] = result[sample] * (position.shape[2] / frames[sample])
    return result


def bone(position: Tensor, skeleton: Skeleton) -> Tensor:
    """Bone of each joint; the unit normal at the center."""
    result = torch.zeros_like(position)
    for joint, parent in enumerate(skeleton.parents):
        result[:, :, :, joint] = position[:, :, :, joint] - position[:, :, :, parent]
    first, second, third = (result[:, :, :, joint] for joint in skeleton.plane)
    normal = torch.cross(first - third, second - third, dim=1)
    result[:, :, :, skeleton.center] = normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return result


def rotation_axis(position: Tensor, skeleton: Skeleton) -> Tensor:
    """Cross product of each bone with its partner."""
    bones = bone(position, skeleton)
    result = torch.zeros_like(bones)
    for joint, partner in enumerate(skeleton.rotation_partners):
        result[:, :, :, joint] = torch.cross(bones[:, :, :, joint], bones[:, :, :, partner], dim=1)
    return result


def angular_velocity(position: Tensor, frames: Tensor, skeleton: Skeleton) -> Tensor:
    """Speed of the angle between each bone and its partner, along the unit axis."""
    bones = bone(position, skeleton)
    bones = bones / bones.norm(dim=1, keepdim=True).clamp_min(1e-12)
    axis = rotation_axis(position, skeleton)
    axis = axis / axis.norm(dim=1, keepdim=True).clamp_min(1e-12)
    angle = torch.zeros_like(bones[:, 0])
    for joint, partner in enumerate(skeleton.rotation_partners):
        one, other = bones[:, :, :, joint], bones[:, :, :, partner]
        angle[:, :, joint] = torch.atan2(torch.cross(one, other, dim=1).norm(dim=1), (one * other).sum(dim=1))
    speed = torch.zeros_like(angle)
    speed[:, :-1] = angle[:, 1:] - angle[:, :-1]
    for sample in range(len(position)):
        speed[sample] = speed[sample] * (position.shape[2] / frames[sample])
    return speed.unsqueeze(1) * axis


def all_six(position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """Each modality of (N, C, T, V, M) by name, each by itself."""
    return {
        "joint": position,
        "motion": motion(position, frames),
        "bone": bone(position, skeleton),
        "acceleration": acceleration(position, frames),
        "rotation_axis": rotation_axis(position, skeleton),
        "angular_velocity": angular_velocity(position, frames, skeleton),
    }
