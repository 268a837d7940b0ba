"""The modalities: what is derived from a position before an encoder sees it.

With p the position, s = T / frames, b the bone of each joint and q(v) the joint whose bone that of v turns against:

- joint: p;
- motion: m[t] = s (p[t+1] - p[t]), the last frame zero;
- bone: b[v] = p[v] - p[parent(v)]; the centre holds the unit normal of the plane through the bones around it;
- acceleration: a[t] = s (m[t+1] - m[t]), the last two frames zero;
- rotation_axis: r[v] = b[v] x b[q(v)];
- angular_velocity: w[t] = s (theta[t+1] - theta[t]) r / |r| [t], the last frame zero, theta the angle between b[v]
  and b[q(v)].

A further modality is one entry of `MODALITIES`. On the CPU the six above are computed together by a kernel of their own
(`ikem.kernels.modalities`), elsewhere and in other precisions by the functions here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ikem.errors import InputError
from ikem.kernels import modalities as modalities_cpu
from ikem.kernels.dispatch import compiled
from ikem.skeleton import Skeleton

_TINY = 1e-12


class Motion:
    """A batch of positions and what several modalities share of its derivatives; each is computed once, when asked for.

    Args:
        position: (N, M, C=3, T, V), float32 or float64.
        frames: (N,) raw lengths of the clips.
        skeleton: its bones and rotation pairs.
    """

    def __init__(self, position: Tensor, frames: Tensor, skeleton: Skeleton) -> None:
        self.position = position
        self.skeleton = skeleton
        count = frames.to(device=position.device, dtype=position.dtype)
        self._scale = (position.shape[-2] / count).view(-1, 1, 1, 1, 1)

    def velocity(self, value: Tensor, valid: int) -> Tensor:
        """s (value[t+1] - value[t]) of the first `valid` frames, zero after them; the shape of `value`."""
        result = torch.zeros_like(value)
        torch.sub(value[..., 1 : valid + 1, :], value[..., :valid, :], out=result[..., :valid, :])
        return result.mul_(self._scale)

    def _joints(self, value: Tensor, joints: Sequence[int]) -> Tensor:
        return value.index_select(-1, _numbers(tuple(joints), value.device))

    @cached_property
    def motion(self) -> Tensor:
        """(N, M, 3, T, V) velocity of each joint."""
        return self.velocity(self.position, self.position.shape[-2] - 1)

    @cached_property
    def acceleration(self) -> Tensor:
        """(N, M, 3, T, V) change of the velocity."""
        return self.velocity(self.motion, max(self.position.shape[-2] - 2, 0))

    @cached_property
    def bone(self) -> Tensor:
        """(N, M, 3, T, V) bone that ends in each joint."""
        bone = self.position - self._joints(self.position, self.skeleton.parents)
        first, second, third = (bone[..., joint] for joint in self.skeleton.plane)
        normal = torch.linalg.cross(first - third, second - third, dim=2)
        length = torch.linalg.vector_norm(normal, dim=2, keepdim=True).clamp_min(_TINY)
        bone[..., self.skeleton.centre] = normal / length
        return bone

    @cached_property
    def rotation_axis(self) -> Tensor:
        """(N, M, 3, T, V) axis about which each bone turns away from its partner."""
        axis: Tensor = torch.linalg.cross(self.bone, self._partner_bone, dim=2)
        return axis

    @cached_property
    def angular_velocity(self) -> Tensor:
        """(N, M, 3, T, V) speed of the angle between a bone and its partner, along the unit axis."""
        axis = self.rotation_axis
        length: Tensor = torch.linalg.vector_norm(axis, dim=2, keepdim=True)
        # The angle does not depend on the lengths of the bones, so they need not be made unit ones.
        angle = torch.atan2(length, (self.bone * self._partner_bone).sum(dim=2, keepdim=True))
        return self.velocity(angle, self.position.shape[-2] - 1) * (axis / length.clamp_min(_TINY))

    @cached_property
    def _partner_bone(self) -> Tensor:
        return self._joints(self.bone, self.skeleton.rotation_partners)


@lru_cache(maxsize=32)
def _numbers(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """On the device, kept there: a copy for each batch would wait for what the device is doing."""
    with torch.inference_mode(False):  # what is kept must be of use in training, too
        return torch.tensor(joints, device=device)


# In the published order, which is that of every table and every stack of modalities.
MODALITIES: dict[str, Callable[[Motion], Tensor]] = {
    "joint": lambda clips: clips.position,
    "motion": lambda clips: clips.motion,
    "bone": lambda clips: clips.bone,
    "acceleration": lambda clips: clips.acceleration,
    "rotation_axis": lambda clips: clips.rotation_axis,
    "angular_velocity": lambda clips: clips.angular_velocity,
}


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
    if position.dtype not in (torch.float32, torch.float64):
        position = position.float()
    done: dict[str, Tensor] = {}
    if compiled(position):
        done = modalities_cpu.generate([name for name in names if name != "joint"], position, frames, skeleton)
    clips = Motion(position, frames, skeleton)
    return {name: done[name] if name in done else MODALITIES[name](clips) for name in names}


def generate(name: str, position: Tensor, frames: Tensor, skeleton: Skeleton) -> Tensor:
    """Compute one modality; see `generate_all`."""
    return generate_all([name], position, frames, skeleton)[name]
