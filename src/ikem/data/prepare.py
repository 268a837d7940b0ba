"""From decoded coordinates to prepared positions: center, resize to T frames, turn towards the camera, scale.

The rules are those of the method's published code (its reference vectors hold them), with choices for other datasets:

1. a clip's length L is the number of its frames in which the first joint of body 1 is not all zero, and the first L
   frames are what is resized (a gap therefore drops frames from the end);
2. each body is centered in each frame on its own center joint; or all of a clip on one point, the center joint of body
   1 in the first frame that has it, so that where a body moves to is kept;
3. frames are resized to T linearly, with half-pixel centers and clamped ends;
4. each body is turned about the y axis, frame by frame, until its shoulders are parallel to x; or the whole clip is,
   by one angle, until the shoulders of body 1 are so in the first frame; or nothing is turned;
5. coordinates stay in meters; or a clip is moved and scaled into [-1, 1], by the largest of its axes' ranges or each
   axis by its own.

Published is the first choice of each. Chen et al. 2021 (CTR-GCN, arXiv 2107.12213, the code that they name) prepare
NW-UCLA by `first-frame`, `none` and `unit-range-axes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ikem.compiling import compiled
from ikem.errors import InputError
from ikem.settings.data import AlignShoulders, Center, Scale
from ikem.skeleton import Skeleton

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

# Added to the length of the shoulder line, in meters, so that an absent body divides by something.
_SHOULDER_GUARD = 1e-4


def usable_length(coordinates: Float32, starts: Int64, frames: Int64) -> Int64:
    """Count the frames of each clip in which the first joint of body 1 is not all zero.

    Args:
        coordinates: (sum of frames, M, V, 3), clips one after another; meters.
        starts: (N,) row of each clip's first frame.
        frames: (N,) number of frames of each clip.

    Returns:
        (N,) int64; 0 for a clip that cannot be prepared.
    """
    present = np.zeros(len(coordinates) + 1, dtype=np.int64)
    np.cumsum((coordinates[:, 0, 0, :] != 0).any(axis=-1), out=present[1:])
    starts = np.asarray(starts, dtype=np.int64)
    counts: Int64 = present[starts + np.asarray(frames, dtype=np.int64)] - present[starts]
    return counts


def prepare_clips(
    coordinates: Float32,
    starts: Int64,
    frames: Int64,
    skeleton: Skeleton,
    target_frames: int,
    center: Center = "frame",
    align_shoulders: AlignShoulders = "frame",
    scale: Scale = "none",
) -> Float32:
    """Center, resize, turn and scale a chunk of ragged clips.

    Args:
        coordinates: (sum of frames, M, V, 3) float32, clips one after another; meters, y up.
        starts: (N,) row of each clip's first frame.
        frames: (N,) number of frames of each clip.
        skeleton: names the center and the shoulders.
        target_frames: T, the number of frames after resizing.
        center, align_shoulders, scale: the choices of steps 2, 4 and 5 above.

    Returns:
        (N, 3, T, V, M) float32. The same clip gives the same bits whatever chunk it is in. A body that is absent is
        all zero.

    Raises:
        InputError: shapes do not fit together, a coordinate is NaN or infinite, or a clip has no usable frame; the
            message names the clip by its index in `starts`.
    """
    coordinates = np.ascontiguousarray(coordinates, dtype=np.float32)
    starts = np.ascontiguousarray(starts, dtype=np.int64)
    frames = np.ascontiguousarray(frames, dtype=np.int64)
    _check(coordinates, starts, frames, skeleton, target_frames)
    lengths = usable_length(coordinates, starts, frames)
    if (lengths == 0).any():
        raise InputError(
            "the first joint of body 1 is zero in every frame, so the clip has no length",
            location=f"clip {int(np.argmin(lengths))}",
            hint="Leave the clip out",
        )
    bodies, joints = coordinates.shape[1:3]
    prepared = np.empty((len(starts), 3, target_frames, joints, bodies), dtype=np.float32)
    left, right = skeleton.shoulders
    origins = _origins(coordinates, starts, frames, skeleton.center, center)
    _prepare(coordinates, origins, starts, lengths, left, right, align_shoulders == "frame", prepared)
    if align_shoulders == "first-frame":
        prepared = turn_by_first_frame(prepared, left, right)
    return prepared if scale == "none" else unit_range(prepared, each_axis=scale == "unit-range-axes")


def _origins(coordinates: Float32, starts: Int64, frames: Int64, joint: int, center: Center) -> Float32:
    """What is subtracted from each body in each frame: (sum of frames, M, 3)."""
    if center == "frame":
        return coordinates[:, :, joint]
    origins = np.zeros((*coordinates.shape[:2], 3), np.float32)
    for start, count in zip(starts.tolist(), frames.tolist(), strict=True):
        clip = coordinates[start : start + count]
        first = int(np.argmax(clip[:, 0, 0].any(axis=1)))
        origins[start : start + count][clip.any(axis=(2, 3))] = clip[first, 0, joint]  # an absent body stays zero
    return origins


def turn_by_first_frame(position: Float32, left: int, right: int) -> Float32:
    """Turn each clip about the y axis by one angle, until the shoulders of body 1 are along x in the first frame.

    How a body turns afterwards is kept. A clip whose first frame lacks body 1 is not turned.

    Args:
        position: (N, 3, T, V, M) float32.
        left, right: the shoulder joints.

    Returns:
        like position.
    """
    line = (position[:, :, 0, right, 0] - position[:, :, 0, left, 0]).reshape(-1, 3, 1, 1, 1)
    length = np.hypot(line[:, 0], line[:, 2])
    divisor = np.where(length > 0, length, np.float32(1))
    cosine = np.where(length > 0, line[:, 0] / divisor, np.float32(1))
    sine = line[:, 2] / divisor
    x, y, z = position[:, 0], position[:, 1], position[:, 2]
    turned: Float32 = np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=1)
    return turned


def unit_range(position: Float32, each_axis: bool) -> Float32:
    """Move and scale each clip into [-1, 1] by its range over frames, joints and bodies.

    Frames in which a body is all zero have none: they do not count, and stay zero. A clip without a range becomes zero.

    Args:
        position: (N, 3, T, V, M) float32.
        each_axis: scale each axis by its own range, which changes the shape of a body (Chen et al. 2021, CTR-GCN, arXiv
            2107.12213); else all by the largest.

    Returns:
        like position.
    """
    present = position.any(axis=(1, 3), keepdims=True) | ~position.any(axis=(1, 2, 3, 4), keepdims=True)
    axes = (2, 3, 4)
    low = position.min(axis=axes, keepdims=True, where=present, initial=np.inf)
    high = position.max(axis=axes, keepdims=True, where=present, initial=-np.inf)
    half = (high - low) / 2
    if not each_axis:
        half = half.max(axis=1, keepdims=True)
    scaled: Float32 = (position - (low + high) / 2) / np.where(half > 0, half, np.float32(1))
    return np.where(present, scaled, np.float32(0))


def _check(coordinates: Float32, starts: Int64, frames: Int64, skeleton: Skeleton, target_frames: int) -> None:
    if coordinates.ndim != 4 or coordinates.shape[2:] != (skeleton.joint_count, 3) or coordinates.shape[1] == 0:
        raise InputError(
            f"coordinates have the shape {coordinates.shape}, not (frames, bodies, {skeleton.joint_count}, 3) as the "
            f"skeleton {skeleton.name} asks"
        )
    if starts.shape != frames.shape or starts.ndim != 1:
        raise InputError(f"{starts.shape} starts and {frames.shape} frame counts do not describe the same clips")
    if target_frames < 1:
        raise InputError(f"cannot resize to {target_frames} frames", hint="Ask for one at least")
    outside = (starts < 0) | (frames < 0) | (starts + frames > len(coordinates))
    if outside.any():
        clip = int(np.argmax(outside))
        raise InputError(
            f"frames {starts[clip]} to {starts[clip] + frames[clip]} are not within the {len(coordinates)} there are",
            location=f"clip {clip}",
        )
    finite = np.isfinite(coordinates.reshape(len(coordinates), -1)).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        for clip, (start, count) in enumerate(zip(starts, frames, strict=True)):
            inside = bad[(bad >= start) & (bad < start + count)]
            if len(inside):
                raise InputError(
                    f"a coordinate of frame {inside[0] - start + 1} is NaN or infinite",
                    location=f"clip {clip}",
                    hint="Leave the clip out",
                )


@compiled(nogil=True)
def _prepare(coordinates, origins, starts, lengths, left, right, turn, prepared):  # type: ignore[no-untyped-def]
    """Fill `prepared`; one clip after another, each in one pass over its output."""
    _, bodies, joints, _ = coordinates.shape
    target = prepared.shape[2]
    body = np.empty((target, joints, 3), dtype=np.float32)
    for clip in range(len(starts)):
        start, length = starts[clip], lengths[clip]
        for m in range(bodies):
            facing = 0.0
            for t in range(target):
                source = max((t + 0.5) * length / target - 0.5, 0.0)
                first = min(int(source), length - 1)
                second = min(first + 1, length - 1)
                weight = np.float32(source - first)
                a, b = coordinates[start + first, m], coordinates[start + second, m]
                a_origin, b_origin = origins[start + first, m], origins[start + second, m]
                for v in range(joints):
                    for c in range(3):
                        before, after = a[v, c] - a_origin[c], b[v, c] - b_origin[c]
                        body[t, v, c] = (np.float32(1) - weight) * before + weight * after
                facing += body[t, right, 2] - body[t, left, 2]
            sign = -1.0 if facing >= 0 else 1.0
            for t in range(target):
                cosine, sine = np.float32(1), np.float32(0)
                if turn:
                    x = np.float64(body[t, right, 0] - body[t, left, 0])
                    z = np.float64(body[t, right, 2] - body[t, left, 2])
                    # cos(arccos(u)) = u and sin(arccos(u)) = sqrt(1 - u^2): no angle is needed.
                    u = x / (np.sqrt(x * x + z * z) + _SHOULDER_GUARD)
                    cosine, sine = np.float32(u), np.float32(sign * np.sqrt(max(1.0 - u * u, 0.0)))
                for v in range(joints):
                    px, pz = body[t, v, 0], body[t, v, 2]
                    prepared[clip, 0, t, v, m] = cosine * px - sine * pz
                    prepared[clip, 1, t, v, m] = body[t, v, 1]
                    prepared[clip, 2, t, v, m] = sine * px + cosine * pz
