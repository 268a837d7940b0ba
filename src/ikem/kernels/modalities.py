"""The derived modalities of float32 positions on a CPU, in one pass over each body.

It replaces the functions of `ikem.modalities` for the five published ones; what a body needs stays in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import torch
from torch import Tensor

from ikem.compiling import compiled
from ikem.modalities import SkeletonBatch
from ikem.skeleton import Skeleton

# The order of the outputs of the kernel.
FUSED = ("motion", "bone", "acceleration", "rotation_axis", "angular_velocity")


def modalities(names: Sequence[str], position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """`ikem.modalities.generate_all`; modalities that the kernel does not know come from their reference functions.

    Args:
        names: of modalities.
        position: (N, M, C=3, T, V) float32 on the CPU.
        frames: (N,) raw lengths.
        skeleton: the skeleton of V joints.

    Returns:
        each of `names`, (N, M, 3, T, V) float32.
    """
    clips = SkeletonBatch(position, frames, skeleton)
    wanted = [name in names for name in FUSED]
    if any(wanted):
        clips.update(_derived(wanted, position, frames, skeleton))
    return {name: clips[name] for name in names}


def _derived(wanted: Sequence[bool], position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    clips, bodies, _, length, joints = shape = position.shape
    flat = position.detach().contiguous().view(clips * bodies, 3, length, joints).numpy()
    scale = np.repeat((length / frames.to(torch.float32)).numpy(), bodies)
    outputs = [torch.empty(shape if want else (0, 0, 3, length, joints)) for want in wanted]
    _generate(
        flat,
        scale,
        np.array(skeleton.parents),
        np.array(skeleton.rotation_partners),
        skeleton.center,
        skeleton.plane,
        np.array(wanted),
        *(output.view(-1, 3, length, joints).numpy() for output in outputs),
    )
    return {name: output for name, output, want in zip(FUSED, outputs, wanted, strict=True) if want}


# atan(x) / x as a polynomial in x^2 on [0, 1], least largest error (6e-9) of this degree.
_ATAN = tuple(
    np.float32(value)
    for value in (
        0.99999989, -0.33332597, 0.19985907, -0.14161228, 0.10498941, -0.07234848, 0.03978112, -0.0144013, 0.00245671
    )
)  # fmt: skip


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _angle(y, x):  # type: ignore[no-untyped-def]
    """atan2(y, x) for y >= 0 within 3e-7; without a branch, so that the loop around it can be vectorized."""
    size = abs(x)
    ratio = min(size, y) / max(max(size, y), np.float32(1e-37))
    square = ratio * ratio
    series = _ATAN[8]
    for index in range(7, -1, -1):
        series = series * square + _ATAN[index]
    angle = series * ratio
    angle = np.float32(np.pi / 2) - angle if y > size else angle
    return np.float32(np.pi) - angle if x < np.float32(0) else angle


@compiled(nogil=True, error_model="numpy")
def _generate(  # type: ignore[no-untyped-def]
    position, scale, parents, partners, center, plane, wanted, motion, bone, acceleration, axis, angular
):
    """Fill those of the last five arrays that are wanted; (B, 3, T, V) each, B bodies."""
    bodies, _, frames, joints = position.shape
    tiny = np.float32(1e-12)
    bones = np.empty((3, frames, joints), dtype=np.float32)
    theta = np.empty((frames, joints), dtype=np.float32)
    axes = np.empty((3, frames, joints), dtype=np.float32)
    for body in range(bodies):
        p, s = position[body], scale[body]
        if wanted[0]:
            for c in range(3):
                _difference(p[c], s, frames - 1, motion[body, c])
        if wanted[2]:
            for c in range(3):
                _second_difference(p[c], s, acceleration[body, c])
        if wanted[1] or wanted[3] or wanted[4]:
            b = bone[body] if wanted[1] else bones
            _bones(p, parents, center, plane, tiny, b)
            if wanted[3] or wanted[4]:
                r = axis[body] if wanted[3] else axes
                _axes(b, partners, r, theta)
                if wanted[4]:
                    _angular_velocity(r, theta, s, tiny, angular[body])


@compiled(nogil=True, error_model="numpy")
def _difference(value, scale, valid, out):  # type: ignore[no-untyped-def]
    frames, joints = value.shape
    for t in range(frames):
        for v in range(joints):
            out[t, v] = scale * (value[t + 1, v] - value[t, v]) if t < valid else np.float32(0)


@compiled(nogil=True, error_model="numpy")
def _second_difference(value, scale, out):  # type: ignore[no-untyped-def]
    frames, joints = value.shape
    for t in range(frames):
        if t < frames - 2:
            for v in range(joints):
                before, after = scale * (value[t + 1, v] - value[t, v]), scale * (value[t + 2, v] - value[t + 1, v])
                out[t, v] = scale * (after - before)
        else:
            out[t] = 0


@compiled(nogil=True, error_model="numpy")
def _bones(p, parents, center, plane, tiny, out):  # type: ignore[no-untyped-def]
    _, frames, joints = p.shape
    for c in range(3):
        for t in range(frames):
            for v in range(joints):
                out[c, t, v] = p[c, t, v] - p[c, t, parents[v]]
    i, j, k = plane
    for t in range(frames):
        a0, a1, a2 = out[0, t, i] - out[0, t, k], out[1, t, i] - out[1, t, k], out[2, t, i] - out[2, t, k]
        b0, b1, b2 = out[0, t, j] - out[0, t, k], out[1, t, j] - out[1, t, k], out[2, t, j] - out[2, t, k]
        n0, n1, n2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
        length = max(np.sqrt(n0 * n0 + n1 * n1 + n2 * n2), tiny)
        out[0, t, center], out[1, t, center], out[2, t, center] = n0 / length, n1 / length, n2 / length


@compiled(nogil=True, error_model="numpy")
def _axes(b, partners, axis, theta):  # type: ignore[no-untyped-def]
    """Cross product of each bone with its partner, and the angle between them."""
    _, frames, joints = b.shape
    for t in range(frames):
        for v in range(joints):
            q = partners[v]
            a0, a1, a2 = b[0, t, v], b[1, t, v], b[2, t, v]
            b0, b1, b2 = b[0, t, q], b[1, t, q], b[2, t, q]
            r0, r1, r2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
            axis[0, t, v], axis[1, t, v], axis[2, t, v] = r0, r1, r2
            theta[t, v] = _angle(np.sqrt(r0 * r0 + r1 * r1 + r2 * r2), a0 * b0 + a1 * b1 + a2 * b2)


@compiled(nogil=True, error_model="numpy")
def _angular_velocity(axis, theta, scale, tiny, out):  # type: ignore[no-untyped-def]
    _, frames, joints = axis.shape
    for t in range(frames - 1):
        for v in range(joints):
            r0, r1, r2 = axis[0, t, v], axis[1, t, v], axis[2, t, v]
            length = max(np.sqrt(r0 * r0 + r1 * r1 + r2 * r2), tiny)
            speed = scale * (theta[t + 1, v] - theta[t, v]) / length
            out[0, t, v], out[1, t, v], out[2, t, v] = speed * r0, speed * r1, speed * r2
    out[:, frames - 1] = 0
