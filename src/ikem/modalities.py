"""The modalities: what is derived from the position of joints before an encoder sees it.

To add a modality: a function here with `@modality`. Its name is the modality's; its position among the others is that
in tables and stacks, and gives its color and marker in figures. Tensors are (N, M, 3, T, V). In the formulas p is the
position, b the bone of each joint, q(v) the joint whose bone that of v turns against, and s = T / raw frames, which
makes speeds those of the raw frames.

Nothing here imports torch when it is loaded: the schema of a config reads the names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ikem.errors import InputError
from ikem.kernels.dispatch import replaceable
from ikem.skeleton import Skeleton

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TINY = 1e-12

MODALITIES: dict[str, Callable[[SkeletonBatch], Tensor]] = {}
"""Each modality by its name, in the published order, which is that of every table and every stack of modalities."""


def modality(function: Callable[[SkeletonBatch], Tensor]) -> Callable[[SkeletonBatch], Tensor]:
    """Register a function, by its name."""
    MODALITIES[function.__name__] = function
    return function


class SkeletonBatch(dict[str, "Tensor"]):
    """A batch of clips in motion: `motion[name]` is a modality, computed when it is first asked for, and kept.

    Args:
        position: (N, M, C=3, T, V), float32 or float64.
        frames: (N,) raw lengths of the clips, before they were resized to T.
        skeleton: the skeleton of V joints.
    """

    def __init__(self, position: Tensor, frames: Tensor, skeleton: Skeleton) -> None:
        super().__init__()
        self.position = position
        self.skeleton = skeleton
        count = frames.to(device=position.device, dtype=position.dtype)
        self._scale = (position.shape[-2] / count).view(-1, 1, 1, 1, 1)

    def __missing__(self, name: str) -> Tensor:
        value = self[name] = MODALITIES[name](self)
        return value

    def velocity(self, value: Tensor, valid: int) -> Tensor:
        """s (value[t+1] - value[t]) of the first `valid` frames, zero after them; the shape of `value`."""
        result = value.new_zeros(value.shape)
        result[..., :valid, :] = (value[..., 1 : valid + 1, :] - value[..., :valid, :]) * self._scale
        return result

    def at(self, value: Tensor, joints: tuple[int, ...]) -> Tensor:
        """The values of these V joints, in their order."""
        return value.index_select(-1, joint_indices(joints, value.device))


@functools.lru_cache(maxsize=32)
def joint_indices(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers of joints on a device, kept there: a copy for each batch would wait for what the device is doing."""
    import torch

    with torch.inference_mode(False):  # what is kept must be usable in training, too
        return torch.tensor(joints, device=device)


@modality
def joint(clips: SkeletonBatch) -> Tensor:
    """p, the position."""
    return clips.position


@modality
def motion(clips: SkeletonBatch) -> Tensor:
    """Velocity of each joint: m[t] = s (p[t+1] - p[t]), the last frame zero.

    Shi et al. 2020 (MS-AAGCN, arXiv 1912.06971); with s as in Wei et al. 2024 (arXiv 2309.12009).
    """
    return clips.velocity(clips["joint"], clips.position.shape[-2] - 1)


@modality
def bone(clips: SkeletonBatch) -> Tensor:
    """Vector from the parent of each joint to it: b[v] = p[v] - p[parent(v)].

    The center, which has no parent, has the unit normal of the plane through the bones around it. Shi et al. 2019
    (2s-AGCN, arXiv 1805.07694); with the normal as in Wei et al. 2024 (arXiv 2309.12009).
    """
    skeleton = clips.skeleton
    bones = clips.position - clips.at(clips.position, skeleton.parents)
    first, second, third = (bones[..., index] for index in skeleton.plane)
    bones[..., skeleton.center] = _unit((first - third).cross(second - third, dim=2))
    return bones


@modality
def acceleration(clips: SkeletonBatch) -> Tensor:
    """Change of the velocity: a[t] = s (m[t+1] - m[t]), the last two frames zero.

    Wei et al. 2024 (arXiv 2309.12009).
    """
    return clips.velocity(clips["motion"], max(clips.position.shape[-2] - 2, 0))


@modality
def rotation_axis(clips: SkeletonBatch) -> Tensor:
    """Axis about which each bone turns away from its partner: r[v] = b[v] x b[q(v)].

    Wei et al. 2024 (arXiv 2309.12009).
    """
    return clips["bone"].cross(clips.at(clips["bone"], clips.skeleton.rotation_partners), dim=2)


@modality
def angular_velocity(clips: SkeletonBatch) -> Tensor:
    """Speed of the angle between each bone and its partner, along their axis; the last frame zero.

    w[t] = s (theta[t+1] - theta[t]) r[t] / |r[t]|, theta the angle between b[v] and b[q(v)], which does not depend on
    their lengths. Wei et al. 2024 (arXiv 2309.12009).
    """
    axis = clips["rotation_axis"]
    partner = clips.at(clips["bone"], clips.skeleton.rotation_partners)
    angle = axis.norm(dim=2, keepdim=True).atan2((clips["bone"] * partner).sum(dim=2, keepdim=True))
    return clips.velocity(angle, clips.position.shape[-2] - 1) * _unit(axis)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors along dimension 2 divided by their length; zero if they have none."""
    length: Tensor = vectors.norm(dim=2, keepdim=True)
    return vectors / length.clamp_min(_TINY)


def generate_all(names: Sequence[str], position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """Compute several modalities of one batch; what they share is computed once.

    Args:
        names: keys of `MODALITIES`.
        position: (N, M, C=3, T, V), any floating dtype, any device.
        frames: (N,) raw lengths of the clips, before they were resized to T.
        skeleton: the skeleton of V joints.

    Returns:
        each name with its (N, M, 3, T, V) tensor: float64 for float64, float32 for all else. `joint` may be `position`
        itself.

    Raises:
        InputError: a name is unknown, or the shapes do not fit together.
    """
    for name in names:
        if name not in MODALITIES:
            raise InputError(f"unknown modality {name!r}", hint=f"Known are {', '.join(MODALITIES)}")
    if position.ndim != 5 or position.shape[2] != 3 or position.shape[4] != skeleton.joint_count:
        raise InputError(f"position has the shape {tuple(position.shape)}, not (N, M, 3, T, {skeleton.joint_count})")
    if frames.shape != position.shape[:1]:
        raise InputError(f"{tuple(frames.shape)} frame counts for {position.shape[0]} clips")
    if position.dtype.itemsize < 4:
        position = position.float()
    return _modalities(names, position, frames, skeleton)


@replaceable("modalities")
def _modalities(names: Sequence[str], position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    clips = SkeletonBatch(position, frames, skeleton)
    return {name: clips[name] for name in names}


def generate(name: str, position: Tensor, frames: Tensor, skeleton: Skeleton) -> Tensor:
    """Compute one modality; see `generate_all`."""
    return generate_all([name], position, frames, skeleton)[name]
